"""Answers that are written, not marked: a small chat model with the passage (open) or from memory alone (closed)."""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from src import assets, runtime

WITH_PASSAGE = "Read the passage and answer the question in a few words.\n\nPassage: {context}\n\nQuestion: {question}"
FROM_MEMORY = "Answer the question in a few words.\n\nQuestion: {question}"


class GenerativeAnswerer:
    """Writes an answer token by token, always taking the likeliest next token.

    model: "smollm2" (135 million parameters, from the course's assets), or a folder or Hub id of a chat model.
    """

    def __init__(self, model: str = "smollm2"):
        source = str(assets.path(model)) if model == "smollm2" else model
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval().to(runtime.device())

    def __call__(self, question: str, context: str | None = None, max_new_tokens: int = 40) -> str:
        """The model's answer: from `context` where it is given (open), otherwise from memory (closed)."""
        prompt = FROM_MEMORY.format(question=question) if context is None else WITH_PASSAGE.format(question=question, context=context)
        return self.reply(prompt, max_new_tokens)

    def reply(self, prompt: str, max_new_tokens: int = 40) -> str:
        """What the model says to `prompt`, as the first turn of a chat."""
        inputs = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        ).to(self.model.device)
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=self.tokenizer.eos_token_id)
        return self.tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
