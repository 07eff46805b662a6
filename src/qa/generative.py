"""Answers that are written, not marked: by a small chat model, open-book or closed-book."""

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from src import assets, runtime

OPEN_BOOK = (
    "Read the passage and answer the question in a few words.\n\n"
    "Passage: {context}\n\nQuestion: {question}"
)
CLOSED_BOOK = "Answer the question in a few words.\n\nQuestion: {question}"


class GenerativeAnswerer:
    """Writes an answer token by token, always taking the likeliest next token.

    `model` is "smollm2" (135 million parameters, from the course's assets), or a folder or Hub id
    of a chat model.
    """

    def __init__(self, model: str = "smollm2"):
        source = str(assets.path(model)) if model == "smollm2" else model
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        self.model = model.eval().to(runtime.device())

    def __call__(self, question: str, context: str | None = None, max_new_tokens: int = 40) -> str:
        """The model's answer: from `context` (open-book), or without one (closed-book)."""
        prompt = CLOSED_BOOK if context is None else OPEN_BOOK
        return self.reply(prompt.format(question=question, context=context), max_new_tokens)

    def reply(self, prompt: str, max_new_tokens: int = 40) -> str:
        """What the model says to `prompt`, as the first turn of a chat."""
        inputs = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        ).to(self.model.device)
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.eos_token_id,
            )
        written = output[0, inputs["input_ids"].shape[1] :]
        return self.tokenizer.decode(written, skip_special_tokens=True).strip()
