"""The engine: vLLM's own server as a process, and the model folder that it serves.

`provision` makes the folder, `fingerprint` names its content, `server` starts and watches the process, `cpu_lora` makes
LoRA fast on a CPU. Nothing here is imported by the judge or agent service: they know the engine as an HTTP address.
torch, transformers and vLLM are imported inside the functions that need them, never at module level.
"""
