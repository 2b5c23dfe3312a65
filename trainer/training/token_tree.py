"""Packs prompts that share their beginnings into one row of tokens, so that what they share is computed once.

A batch becomes a tree: the instructions (shared by all), the conversations below them, the replies below those. The
model runs over the concatenation of the nodes with a batch size of one and no padding; `tree_attention` lets each node
see itself and its ancestors only, at the positions that it has in a prompt of its own: results equal separate prompts'.
A tree can grow by a token a leaf, for decoding with the model's key-value cache.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

Spans: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TokenPath:
    """One prompt: `prefix` is shared with its siblings, `suffix` is its own and ends in the tokens to learn from."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A run of tokens in the packed row: `spans` are its ancestors' places, from the root down, then its own."""

    spans: Spans

    @property
    def start(self) -> int:
        """Index of its first token in the packed row."""
        return self.spans[-1][0]

    @property
    def end(self) -> int:
        """Index after its last token in the packed row."""
        return self.spans[-1][1]

    @property
    def depth(self) -> int:
        """How many tokens its ancestors hold: the position of its first token."""
        return sum(end - start for start, end in self.spans[:-1])


@dataclass(frozen=True, slots=True)
class TokenTree:
    """A packed batch.

    Attributes:
        input_ids: all nodes one after another, shape (1, tokens).
        position_ids: positions as in separate prompts, same shape.
        nodes: in the packed row's order; only those that hold input.
        leaves: for each path its last node.
        cached: how many tokens of the packed row are in the key-value cache already.
        segments: the places of all nodes so far, cached ones too, in order; they tile the packed row.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    nodes: tuple[Node, ...]
    leaves: tuple[Node, ...]
    segments: Spans
    cached: int = 0
    _masks: dict[tuple[int, int | None], torch.Tensor] = field(default_factory=dict, repr=False)

    def last_tokens(self, count: int) -> torch.Tensor:
        """Return where in the input each path's last `count` tokens are, (paths, count); they must be one node's."""
        ends = torch.tensor([leaf.end - self.cached for leaf in self.leaves], device=self.input_ids.device)
        return ends[:, None] - count + torch.arange(count, device=self.input_ids.device)

    def grown(self, ids: torch.Tensor) -> "TokenTree":
        """Return the input that continues this one: one token for each path, `ids` (paths)."""
        cached = self.cached + self.input_ids.shape[1]
        leaves = tuple(
            Node((*leaf.spans, (cached + index, cached + index + 1))) for index, leaf in enumerate(self.leaves)
        )
        positions = torch.tensor([[leaf.depth for leaf in leaves]], device=ids.device)
        segments = (*self.segments, *(leaf.spans[-1] for leaf in leaves))
        return TokenTree(ids[None], positions, leaves, leaves, segments, cached)

    def branched(self, count: int) -> "TokenTree":
        """Return the same input with every leaf `count` times in a row: so many continuations grow from each."""
        leaves = tuple(leaf for leaf in self.leaves for _ in range(count))
        return TokenTree(self.input_ids, self.position_ids, self.nodes, leaves, self.segments, self.cached, self._masks)

    def mask(self, index: int, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Return what to add to a node's attention scores, (queries, keys): minus infinity where a token must not look.

        Keys are the node's ancestors, then itself. `window` is how many positions back a token sees, itself included.
        """
        node = self.nodes[index]
        tokens = node.depth + node.end - node.start
        key = (index, window if window is not None and window < tokens else None)
        if key not in self._masks:
            positions = torch.arange(tokens, device=self.input_ids.device)
            distance = positions[node.depth :, None] - positions[None, :]
            hidden = (distance < 0) if key[1] is None else (distance < 0) | (distance >= key[1])
            self._masks[key] = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
                hidden, -torch.inf
            )
        return self._masks[key]


def pack(paths: Sequence[TokenPath], device: torch.device) -> TokenTree:
    """Return the tree of `paths`; its leaves are in the order given, one node for each suffix."""
    packing = _Packing()
    above = packing.branch(sorted({path.prefix for path in paths}), 0, ())
    leaves = tuple(Node(packing.add(path.suffix, above[path.prefix])) for path in paths)
    return TokenTree(
        input_ids=torch.tensor([packing.ids], device=device),
        position_ids=torch.tensor([packing.positions], device=device),
        nodes=tuple(packing.nodes),
        leaves=leaves,
        segments=tuple(node.spans[-1] for node in packing.nodes),
    )


class _Packing:
    """The packed row while it is put together."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.nodes: list[Node] = []

    def add(self, tokens: Sequence[int], above: Spans) -> Spans:
        """Append a node below `above` and return its spans."""
        if not tokens:
            return above
        spans = (*above, (len(self.ids), len(self.ids) + len(tokens)))
        node = Node(spans)
        self.ids.extend(tokens)
        self.positions.extend(range(node.depth, node.depth + len(tokens)))
        self.nodes.append(node)
        return spans

    def branch(self, prefixes: Sequence[tuple[int, ...]], start: int, above: Spans) -> dict[tuple[int, ...], Spans]:
        """Add what sorted `prefixes`, equal up to `start`, share from there, then each branch; return their spans."""
        first, last = prefixes[0], prefixes[-1]
        end = start + _shared_length(first[start:], last[start:])
        spans = self.add(first[start:end], above)
        branches: dict[int, list[tuple[int, ...]]] = defaultdict(list)
        for prefix in prefixes:
            if len(prefix) > end:
                branches[prefix[end]].append(prefix)
        found = {first: spans} if len(first) == end else {}
        for members in branches.values():
            found |= self.branch(members, end, spans)
        return found


def _shared_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many first tokens both share."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
