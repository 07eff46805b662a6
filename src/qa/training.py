"""Fine-tune a BERT on questions in the minutes you have, on whatever machine you have.

`finetune` measures how long a step takes here, plans the whole run from that, and writes the plan down before step 1:
steps, batch order, precision, threads. A run that is interrupted, even by `kill -9`, follows the same plan when it is
resumed, and ends with the same weights to the bit.

What a run leaves in its folder: plan.json and batch_order.npy (the plan), checkpoints/ (until it is finished), and at the
end model.safetensors, config.json, the tokenizer, and run.json (seconds, examples per second, history). While it goes,
progress.json says how far it is, for whoever looks on from another process.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils import SAFE_WEIGHTS_NAME, ModelOutput

from src import runtime
from src.qa.cpu_attention import use_cpu_attention
from src.qa.dataset import Data, Version, fingerprint, load_data
from src.qa.features import prepare_features
from src.qa.models import WORD_EMBEDDINGS, first_line, load_model
from src.qa.processes import RunError, alone_in, check_arguments, ending_with_the_others, join, read_plan, told_by_first, write_json

PLAN, ORDER, RUN, CHECKPOINTS, PROGRESS = "plan.json", "batch_order.npy", "run.json", "checkpoints", "progress.json"
# What a run writes where a stranger may have it, too: without a plan beside them these are not from a run.
WRITTEN = (SAFE_WEIGHTS_NAME, "config.json", "tokenizer.json", "tokenizer_config.json", RUN, PROGRESS, CHECKPOINTS)
COMPLETE = "complete.json"  # written last into a checkpoint: one without it was cut off while being saved
SECONDS_BETWEEN_CHECKPOINTS = 20.0
PAD_TO = 8  # tokens
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions")
# This many batches are sorted by length together: long enough to leave little padding, short enough to stay random.
BATCHES_PER_GROUP = 50


@dataclass
class Plan:
    """What a run will do, decided before step 1 and followed to the end.

    arguments: what `finetune` was asked for; a resume must ask for the same. steps, batch_size: int, questions' windows
    per step over all processes. precision: "bf16" or "fp32". threads: of torch, per process. planned_seconds: from the call
    to the last step, without saving. machine: where it was planned. replanned: one entry per move to another machine or to another
    number of processes.
    """

    arguments: dict
    steps: int
    batch_size: int
    warmup_steps: int
    learning_rate: float
    precision: str
    threads: int
    processes: int
    planned_seconds: float
    windows: int
    machine: str
    replanned: list[dict] = field(default_factory=list)


@dataclass
class Run:
    """A fine-tuning run: where it is, what it cost, how the loss fell.

    seconds: from the call to the last step, without saving. examples_per_second: windows per second of training alone.
    history: one dict per log: step, seconds, loss, learning_rate, examples_per_second. finished: False after Ctrl-C.
    """

    output_dir: Path
    finished: bool
    steps: int
    seconds: float
    saving_seconds: float
    examples_per_second: float
    history: list[dict]
    plan: Plan


def finetune(
    model: str | Path = "minilm",
    data: Data = "course",
    minutes: float | None = None,
    output_dir: str | Path = "build/qa",
    resume: bool = True,
    seed: int = 0,
    *,
    epochs: float | None = None,
    batch_size: int = 16,
    learning_rate: float | None = None,
    weight_decay: float = 0.01,
    max_length: int = 384,
    doc_stride: int = 128,
    version: Version = "v2",
    push_to_hub: str | None = None,
    report: Callable[[dict], None] | None = None,
) -> Run:
    """Fine-tune `model` on the questions of `data` for so many `minutes` or `epochs`, with transformers' Trainer.

    model: "minilm", released weights ("qa-minilm"), a folder, or a Hub id. data: a name, a path, several, or a DatasetDict;
    its "train" split is used. minutes: wall time from this call to the last step; saving comes on top and is reported apart.
    batch_size: windows per step, over all processes. learning_rate: None takes 3e-4 for narrow encoders (less than 512
    wide) and 5e-5 for wider ones; it rises for the first 6 % of the steps and then falls to zero at the last.
    push_to_hub: a Hub id to upload the finished model to (needs a login). report: called with a progress dict (step, steps,
    seconds, planned_seconds, saving_seconds, loss, learning_rate, examples_per_second, and the phase: "training", then "finished"
    or "stopped"); None prints a line now and then.

    Word embeddings stay as they are and dropout is 0: half the work, and in the minutes one has, no worse.
    Ctrl-C stops after the step under way and saves a usable model. With `resume`, a run found in `output_dir` goes on where
    it stopped, and a finished one is returned without training.
    Raises RunError when `output_dir` holds a run with other arguments, or one at all with resume=False, or a model or the like that
    no run left there; when another process is training in it; and for arguments that no run could follow.
    """
    called = time.perf_counter()
    _check_arguments(minutes, epochs, batch_size, learning_rate)
    output_dir = Path(output_dir)
    splits = load_data(data, version)
    if not len(splits.get("train", ())):
        raise RunError(f"the data has no questions to train on: it needs a split 'train' (found {', '.join(splits) or 'none'}).")
    train = splits["train"]
    arguments = {
        "model": str(model),
        "data": fingerprint(train),
        "minutes": minutes,
        "epochs": epochs,
        "seed": seed,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "max_length": max_length,
        "doc_stride": doc_stride,
    }
    report = report or runtime.print_progress()
    state = join()
    _check_folder(output_dir)
    advice = f"the same call with resume=True (--resume) goes on from the last checkpoint in {output_dir}."
    alone = alone_in(output_dir, state, f"training in {output_dir}", "output_dir")
    with ending_with_the_others(state, advice), alone, runtime.keeping_memory():
        return _run(called, arguments, train, output_dir, resume, push_to_hub, report, state)


def _run(
    called: float,
    arguments: dict,
    train: Dataset,
    output_dir: Path,
    resume: bool,
    push_to_hub: str | None,
    report: Callable[[dict], None],
    state: PartialState,
) -> Run:
    """Plan the run in `output_dir`, or read its plan, and do what is left of it. called: when `finetune` was."""
    seed = arguments["seed"]
    plan = _read_plan(output_dir, arguments, resume)
    if plan is not None and (output_dir / RUN).is_file():
        run = load_run(output_dir)
        if run.finished:
            shutil.rmtree(output_dir / CHECKPOINTS, ignore_errors=True)  # what a kill left of them while they were being removed
            if push_to_hub and state.is_main_process:  # an upload that failed can be asked for again
                _push(*load_model(output_dir), push_to_hub, output_dir)
            if state.is_main_process:
                report(_finished_progress(run))
            return run

    runtime.set_seed(seed)
    network, tokenizer = load_model(arguments["model"], dropout=0.0, for_training=True)
    _freeze_word_embeddings(network)
    network.train()
    windows = prepare_features(train, tokenizer, arguments["max_length"], arguments["doc_stride"])
    windows = windows.select_columns([name for name in MODEL_INPUTS if name in windows.column_names] + ["length"])
    checkpoint = _last_checkpoint(output_dir) if plan is not None else None

    # The first decides: on hosts that differ, the others would each find another machine than the plan's.
    if told_by_first(plan is None or (plan.machine, plan.processes) != (_machine(), state.num_processes), state):
        plan, order = _make_plan(plan, checkpoint, arguments, network, tokenizer, windows, called, state)
        if state.is_main_process:
            _write_plan(output_dir, plan, order)
        state.wait_for_everyone()
    order = _read_order(output_dir, plan)
    torch.set_num_threads(plan.threads)

    clock = _Clock(plan, output_dir, called, checkpoint, report)
    trainer = _PlannedTrainer(
        order=order,
        model=network,
        args=_training_arguments(plan, output_dir, push_to_hub),
        train_dataset=windows.remove_columns("length"),
        data_collator=_collator(tokenizer),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    runtime.set_seed(seed)
    with _stop_on_interrupt(clock), _attention_for_training(network):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    state.wait_for_everyone()  # nobody may still be writing into a checkpoint that is about to go
    run = clock.result(trainer.state)
    if state.is_main_process:
        saving = time.perf_counter()
        network.save_pretrained(output_dir)
        tokenizer.save_pretrained(output_dir)
        run.saving_seconds += time.perf_counter() - saving
        write_json(output_dir / RUN, _run_to_dict(run))
        if run.finished:
            shutil.rmtree(output_dir / CHECKPOINTS, ignore_errors=True)
        clock.tell("finished" if run.finished else "stopped")
    state.wait_for_everyone()
    if push_to_hub and run.finished and state.is_main_process:
        _push(network, tokenizer, push_to_hub, output_dir)
    return run


def _check_arguments(minutes: float | None, epochs: float | None, batch_size: int, learning_rate: float | None) -> None:
    """RunError for what no plan can be made of."""
    wanted = epochs if minutes is None else minutes
    if (minutes is None) == (epochs is None) or not (0 < wanted < math.inf):
        raise RunError(f"give either minutes or epochs, above zero (found minutes={minutes}, epochs={epochs}).")
    if batch_size < 1:
        raise RunError(f"batch_size is {batch_size}; a step needs at least one window.")
    if learning_rate is not None and not (0 < learning_rate < math.inf):
        raise RunError(f"learning_rate is {learning_rate}; choose one above zero, or None for the usual one.")


def _check_folder(output_dir: Path) -> None:
    """RunError for a folder of someone else's, before anything is written into it."""
    found = [name for name in WRITTEN if (output_dir / name).exists()]
    if found and not (output_dir / PLAN).is_file():
        raise RunError(
            f"{output_dir} holds {', '.join(found)} that no run left there and that would be overwritten; choose another output_dir."
        )


def _push(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, hub_id: str, output_dir: Path) -> None:
    """Upload the finished model. Raises RunError when that fails: the model is safe, and the same call tries again."""
    try:
        network.push_to_hub(hub_id)
        tokenizer.push_to_hub(hub_id)
    except (OSError, ValueError) as error:
        raise RunError(
            f"the model in {output_dir} is finished, but could not be uploaded to {hub_id!r} ({first_line(error)}); "
            f"log in with `hf auth login`, go online with COURSE_ONLINE=1, and call again."
        ) from None


def load_run(folder: str | Path) -> Run:
    """Read the run that `finetune` left in `folder`. Raises RunError when there is none."""
    folder = Path(folder)
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return Run(output_dir=folder, plan=Plan(**json.loads((folder / PLAN).read_text(encoding="utf-8"))), **found)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{folder} holds no readable run ({error}); run the training first.") from None


# ---------------------------------------------------------------------------------------------------------------- the plan


def batch_passes(lengths: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless passes over the windows as int64[batches, batch_size]: shuffled, then grouped so that a batch has like lengths.

    lengths: int[windows]. Every batch is full: the last one of a pass is topped up from the start of its shuffle.
    """
    for epoch in range(1_000_000):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(lengths))
        order = np.resize(order, -(-len(order) // batch_size) * batch_size)
        # Groups of whole batches: one that held the longest of a group and the shortest of the next would be mostly padding.
        batches = order.reshape(-1, batch_size)
        groups = [group.ravel() for group in np.array_split(batches, -(-len(batches) // BATCHES_PER_GROUP))]
        order = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
        # The order of the batches is random again, or every group would end with its longest.
        yield rng.permutation(order.reshape(-1, batch_size))


def _make_plan(
    old: Plan | None,
    checkpoint: Path | None,
    arguments: dict,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    called: float,
    state: PartialState,
) -> tuple[Plan, np.ndarray]:
    """Decide steps, order, precision and threads from the speed measured here; after a move, for the steps that are left."""
    lengths = np.asarray(windows["length"])
    batch_size = arguments["batch_size"]
    if batch_size % state.num_processes:
        raise RunError(f"batch_size is {batch_size}, which {state.num_processes} processes cannot share equally; choose a multiple.")
    first_pass = next(batch_passes(lengths, batch_size, arguments["seed"]))
    precision, seconds_of = _measure(model, tokenizer, windows, first_pass, lengths, arguments["minutes"], state)

    done = _checkpoint_record(checkpoint)["step"] if checkpoint else 0
    spent = _checkpoint_record(checkpoint)["seconds"] if checkpoint else 0.0
    budget = None
    if arguments["minutes"] is not None:
        budget = 60 * arguments["minutes"]
        set_up = time.perf_counter() - called
        # Where preparing took most of the time, training still gets a quarter of it.
        budget = max(budget - spent - set_up, 0.25 * budget if not spent else 0.0)
    order, predicted = [], 0.0  # batches, and the seconds those will take that are not done yet
    wanted = None if arguments["epochs"] is None else max(1, round(arguments["epochs"] * len(first_pass)))
    for batch in _all_batches(lengths, batch_size, arguments["seed"]):
        cost = seconds_of(lengths[batch].max()) if len(order) >= done else 0.0
        # By the minutes at least one step is taken from here on, however slow it is.
        enough = len(order) == wanted if budget is None else len(order) > done and predicted + cost > budget
        if enough:
            break
        order.append(batch)
        predicted += cost
    hidden_size = getattr(model.config, "hidden_size", 768)
    plan = Plan(
        arguments=arguments,
        steps=len(order),
        batch_size=batch_size,
        warmup_steps=max(1, round(0.06 * len(order))),
        learning_rate=arguments["learning_rate"] or (3e-4 if hidden_size < 512 else 5e-5),
        precision=precision,
        threads=torch.get_num_threads(),
        processes=state.num_processes,
        planned_seconds=round(spent + predicted + time.perf_counter() - called, 1),
        windows=len(lengths),
        machine=_machine(),
        replanned=[*old.replanned, _move(old, done, state)] if old else [],
    )
    return told_by_first((plan, np.asarray(order)), state)


def _move(old: Plan, done: int, state: PartialState) -> dict:
    """What is recorded of a run that goes on after `done` steps on another machine, or on another number of processes."""
    machines = {"from": old.machine, "to": _machine()}
    return {"at_step": done, "steps_before": old.steps} | machines | {"processes_before": old.processes, "processes": state.num_processes}


def _all_batches(lengths: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    for batches in batch_passes(lengths, batch_size, seed):
        yield from batches


def _measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    batches: np.ndarray,
    lengths: np.ndarray,
    minutes: float | None,
    state: PartialState,
) -> tuple[str, Callable[[int], float]]:
    """The faster precision here, and seconds per step by the longest window in its batch.

    Steps are taken on a copy of the model, on real batches, from the shortest to the longest: time grows faster than length.
    """
    by_length = batches[np.argsort(lengths[batches].max(axis=1), kind="stable")]
    share = batches.shape[1] // state.num_processes
    places = np.linspace(0, len(by_length) - 1, 5).round().astype(int)
    chosen = [by_length[place][:share] for place in places]
    # Measuring may take an eighth of the time asked for, a third of it for the choice of the precision.
    limit = 7.5 * (minutes or 1.5)
    stepper = _Stepper(model, tokenizer, windows, state)
    precisions = _precisions(state.device)
    middle = {name: stepper.seconds(chosen[2:3], name, limit / 3 / len(precisions))[0] for name in precisions}
    precision = told_by_first(min(middle, key=middle.get), state)
    times = stepper.seconds(chosen, precision, limit * 2 / 3)
    longest = [int(lengths[batch].max()) for batch in chosen]
    return precision, lambda length: float(np.interp(length, longest, np.maximum.accumulate(times)))


def _precisions(device: torch.device) -> list[str]:
    """Those worth measuring; fp32 first, so that a tie goes to it."""
    if device.type == "cuda":
        return ["fp32", "bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp32", "fp16"]
    return ["fp32", "bf16"]


class _Stepper:
    """Takes real training steps on a copy of the model, to see how long they last."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, windows: Dataset, state: PartialState):
        self.device = state.device
        network = copy.deepcopy(model).to(self.device)
        if _fits_cpu_attention(network):
            use_cpu_attention(network)
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=0.0, fused=True)
        self.model = torch.nn.parallel.DistributedDataParallel(network) if state.num_processes > 1 else network
        self.windows = windows.remove_columns("length")
        self.collate = _collator(tokenizer)

    def seconds(self, batches: Sequence[np.ndarray], precision: str, limit: float) -> list[float]:
        """Mean seconds of a step on the windows of each batch.

        In ten rounds over all batches, fewer once `limit` seconds are over, so that a slow moment of the machine does not fall on
        one length alone. The first round is not counted: it pays for buffers and kernels. One more is taken however slow the steps are.
        """
        start, rounds, enough = time.perf_counter(), [], False
        while len(rounds) < 2 or (len(rounds) < 11 and not enough):
            rounds.append([self._step(batch, precision) for batch in batches])
            (enough,) = _anyone(time.perf_counter() - start >= limit)  # several processes step together: none may leave early
        return np.mean(rounds[1:], axis=0).tolist()

    def _step(self, batch: np.ndarray, precision: str) -> float:
        """Seconds of one step on the windows of `batch`, from collating to the optimizer."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
        start = time.perf_counter()
        inputs = self.collate(self.windows.__getitems__(batch.tolist())).to(self.device)
        with torch.autocast(self.device.type, dtype, enabled=precision != "fp32"):
            loss, _ = span_loss(self.model, inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()  # waits for the device
        return time.perf_counter() - start


def _read_plan(output_dir: Path, arguments: dict, resume: bool) -> Plan | None:
    """The plan of the run in `output_dir`, None when there is none. RunError when it is not the run that is asked for."""
    plan = read_plan(output_dir / PLAN, Plan)
    if plan is None:
        return None
    if not resume:
        raise RunError(
            f"{output_dir} holds a run already; choose another output_dir, delete the folder, or pass resume=True to go on with it."
        )
    check_arguments(output_dir, plan.arguments, arguments, "choose another output_dir or delete that folder.")
    return plan


def _read_order(output_dir: Path, plan: Plan) -> np.ndarray:
    """The planned batches, int32[steps, batch_size]. RunError when they are not those of the plan."""
    try:
        order = np.load(output_dir / ORDER, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{output_dir / ORDER} cannot be read ({error}); delete the folder to start again.") from None
    if order.shape != (plan.steps, plan.batch_size):
        raise RunError(
            f"{output_dir / ORDER} holds batches of shape {order.shape}, but the plan needs {(plan.steps, plan.batch_size)}; "
            f"delete the folder to start again."
        )
    return order


def _write_plan(output_dir: Path, plan: Plan, order: np.ndarray) -> None:
    output_dir.mkdir(parents=True, exist_ok=True)
    partial = output_dir / f".{ORDER}"
    with partial.open("wb") as file:
        np.save(file, order.astype(np.int32))
    os.replace(partial, output_dir / ORDER)
    write_json(output_dir / PLAN, asdict(plan))  # last: a plan that can be read is whole


def _machine() -> str:
    """What decides the bits of a result: processor, device, torch, threads."""
    return f"{runtime.machine()}; {torch.get_num_threads()} threads"


# ------------------------------------------------------------------------------------------------------------ the training


class _BatchOrder:
    """A batch sampler that hands out the planned batches, one share per process in turn."""

    def __init__(self, order: np.ndarray, processes: int):
        self.shares = order.reshape(-1, order.shape[1] // processes)
        self.batch_size = self.shares.shape[1]
        self.drop_last = False

    def __len__(self) -> int:
        return len(self.shares)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.shares.tolist())


class _PlannedTrainer(Trainer):
    """A Trainer that takes its batches in the planned order, and whose loss does not depend on the padding."""

    def __init__(self, order: np.ndarray, **options):
        self.order = order
        super().__init__(**options)

    def get_train_dataloader(self) -> DataLoader:
        sampler = _BatchOrder(self.order, self.args.world_size)
        return self.accelerator.prepare(DataLoader(self.train_dataset, batch_sampler=sampler, collate_fn=self.data_collator))

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, outputs = span_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss


def span_loss(model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ModelOutput]:
    """Mean cross entropy of the answer's first and last token, and the model's output.

    inputs: what the model reads, int64[B, T], with start_positions and end_positions, int64[B].
    Padding takes no part in the softmax. In the library's own loss it does, so that the same window is worth something else
    in a batch with longer ones, and a run on two processes something else than a run on one.
    """
    read = {name: tensor for name, tensor in inputs.items() if name not in ("start_positions", "end_positions")}
    outputs = model(**read)
    padding = inputs["attention_mask"] == 0
    losses = [
        torch.nn.functional.cross_entropy(logits.float().masked_fill(padding, -torch.inf), positions)
        for logits, positions in ((outputs.start_logits, inputs["start_positions"]), (outputs.end_logits, inputs["end_positions"]))
    ]
    return (losses[0] + losses[1]) / 2, outputs


def _collator(tokenizer: PreTrainedTokenizerBase) -> DataCollatorWithPadding:
    """Pads a batch to its longest window, rounded up: with fewer different shapes a CPU keeps fewer buffers and kernels."""
    return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=PAD_TO)


def _training_arguments(plan: Plan, output_dir: Path, push_to_hub: str | None) -> TrainingArguments:
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(output_dir / CHECKPOINTS),
        learning_rate=plan.learning_rate,
        per_device_train_batch_size=plan.batch_size // plan.processes,
        max_steps=plan.steps,
        weight_decay=plan.arguments["weight_decay"],
        lr_scheduler_type="linear",
        warmup_steps=plan.warmup_steps,
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and plan.processes > 1 else None,
        ddp_find_unused_parameters=False if plan.processes > 1 else None,
        logging_steps=max(1, round(plan.steps / 60)),
        save_steps=plan.steps,  # the end; _Clock asks for those in between, by the seconds that passed
        save_total_limit=2,  # the newest may be cut off by a kill; then the one before it serves
        seed=plan.arguments["seed"],
        disable_tqdm=True,
        report_to="none",
        push_to_hub=False,  # a finished model is pushed once, by finetune, not every checkpoint
        hub_model_id=push_to_hub,
    )


class _Clock(TrainerCallback):
    """Keeps the time of a run, marks complete checkpoints, stops when asked to, and reports."""

    def __init__(self, plan: Plan, output_dir: Path, called: float, checkpoint: Path | None, report: Callable[[dict], None]):
        self.plan, self.output_dir, self.report, self.stop = plan, output_dir, report, False
        self.history: list[dict] = []
        record = _checkpoint_record(checkpoint) if checkpoint else {"seconds": 0.0, "saving_seconds": 0.0, "training_seconds": 0.0}
        self.seconds, self.saving, self.training = (record[name] for name in ("seconds", "saving_seconds", "training_seconds"))
        self.saved_at = self.training
        self.last = called
        self.progress = {"step": 0, "loss": None, "learning_rate": 0.0}

    def _tick(self) -> float:
        now = time.perf_counter()
        passed, self.last = now - self.last, now
        return passed

    def on_train_begin(self, args, state, control, **kwargs):
        self.seconds += self._tick()  # everything before step 1 belongs to the minutes, too
        self.progress["step"] = state.global_step
        self.history = _history(state)
        self.tell("training")

    def on_step_end(self, args, state, control, **kwargs):
        passed = self._tick()
        self.seconds += passed
        self.training += passed
        self.progress["step"] = state.global_step
        stop, save = _anyone(self.stop, self.training - self.saved_at >= SECONDS_BETWEEN_CHECKPOINTS)
        if stop:
            control.should_training_stop = True
        if stop or save:
            control.should_save = True
        return control

    def on_log(self, args, state, control, logs=None, **kwargs):
        entry = state.log_history[-1]
        if "loss" not in entry:  # the Trainer's own summary at the end
            return
        entry["seconds"] = round(self.seconds, 2)
        entry["examples_per_second"] = round(self._speed(state.global_step), 2)
        self.history = _history(state)
        self.progress.update(loss=entry["loss"], learning_rate=entry["learning_rate"])
        self.tell("training")

    def on_save(self, args, state, control, **kwargs):
        PartialState().wait_for_everyone()  # each writes a file of its own into the checkpoint: complete is what all have written
        self.saving += self._tick()
        self.saved_at = self.training
        if state.is_world_process_zero:
            record = {"step": state.global_step, "seconds": self.seconds, "training_seconds": self.training, "saving_seconds": self.saving}
            write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE, record)

    def _speed(self, step: int) -> float:
        return step * self.plan.batch_size / self.training if self.training else 0.0

    def tell(self, phase: str) -> None:
        if not PartialState().is_main_process:
            return
        speed = self._speed(self.progress["step"])
        progress = self.progress | _progress(phase, self.plan, self.seconds, self.saving, speed)
        write_json(self.output_dir / PROGRESS, progress | {"history": self.history})
        self.report(progress)

    def result(self, state) -> Run:
        return Run(
            output_dir=self.output_dir,
            finished=state.global_step >= self.plan.steps,
            steps=state.global_step,
            seconds=round(self.seconds, 2),
            saving_seconds=round(self.saving, 2),
            examples_per_second=round(self._speed(state.global_step), 2),
            history=_history(state),
            plan=self.plan,
        )


def _finished_progress(run: Run) -> dict:
    """What a reporter is told of a run that was finished before: its end, and with it the whole history."""
    last = run.history[-1] if run.history else {"loss": None, "learning_rate": 0.0}
    known = {"step": run.steps, "loss": last["loss"], "learning_rate": last["learning_rate"], "history": run.history}
    return known | _progress("finished", run.plan, run.seconds, run.saving_seconds, run.examples_per_second)


def _progress(phase: str, plan: Plan, seconds: float, saving_seconds: float, examples_per_second: float) -> dict:
    """What every report holds, beside the step, its loss and its learning rate."""
    return {
        "phase": phase,
        "steps": plan.steps,
        "seconds": seconds,
        "planned_seconds": plan.planned_seconds,
        "examples_per_second": examples_per_second,
        "saving_seconds": saving_seconds,
    }


def _history(state) -> list[dict]:
    """The Trainer's log entries of training, one per log, without its own summary at the end."""
    keep = ("step", "seconds", "loss", "learning_rate", "grad_norm", "examples_per_second")
    return [{name: entry[name] for name in keep if name in entry} for entry in state.log_history if "loss" in entry]


def _anyone(*flags: bool) -> list[bool]:
    """Which flags are set in any process: Ctrl-C and the time reach them at different moments, but they must act after the same step."""
    state = PartialState()
    if state.num_processes == 1:
        return list(flags)
    together = torch.tensor([float(flag) for flag in flags], device=state.device)
    torch.distributed.all_reduce(together, op=torch.distributed.ReduceOp.MAX)
    return [bool(flag) for flag in together]


@contextmanager
def _stop_on_interrupt(clock: _Clock) -> Iterator[None]:
    """Ctrl-C, or a notebook's stop button, ends the run after the step under way; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number, frame):
        if clock.stop:
            raise KeyboardInterrupt
        clock.stop = True

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _attention_for_training(model: PreTrainedModel) -> Iterator[None]:
    """The attention that trains fastest on this device, and the model's own again afterwards."""
    before = model.config._attn_implementation
    if _fits_cpu_attention(model):
        use_cpu_attention(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _fits_cpu_attention(model: PreTrainedModel) -> bool:
    return not torch.cuda.is_available() and model.config._attn_implementation == "sdpa"


def _freeze_word_embeddings(model: PreTrainedModel) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith(WORD_EMBEDDINGS):
            parameter.requires_grad_(False)


# -------------------------------------------------------------------------------------------------------- what is on disk


def _last_checkpoint(output_dir: Path) -> Path | None:
    """The newest complete checkpoint; those that a kill cut off are removed."""
    complete = []
    for folder in (output_dir / CHECKPOINTS).glob("checkpoint-*"):
        if (folder / COMPLETE).is_file():
            complete.append(folder)
        elif PartialState().is_main_process:
            shutil.rmtree(folder)
    PartialState().wait_for_everyone()
    return max(complete, key=lambda folder: _checkpoint_record(folder)["step"], default=None)


def _checkpoint_record(checkpoint: Path) -> dict:
    return json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))


def _run_to_dict(run: Run) -> dict:
    return {name: value for name, value in vars(run).items() if name not in ("output_dir", "plan")}
