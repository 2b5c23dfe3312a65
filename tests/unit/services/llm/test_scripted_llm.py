"""The fake that other tests script keeps the port's contract."""

import pytest

from services.llm.port import CompletionRequest, CompletionResult
from tests.contracts.llm import LLMContract
from tests.support.scripted_llm import ScriptedLLM, verdict


class TestScriptedLLM(LLMContract):
    """The contract."""

    @pytest.fixture
    def allowed(self) -> tuple[int, ...]:
        return (11, 12, 13, 14, 15)

    @pytest.fixture
    def model(self) -> str:
        return "base"

    @pytest.fixture
    def llm(self, allowed: tuple[int, ...]) -> ScriptedLLM:
        def answer(_: CompletionRequest) -> CompletionResult:
            return verdict((1, 2, 3, 4, 5, 4, 3), allowed)

        return ScriptedLLM(answer)
