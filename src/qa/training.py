"""Fine-tune a BERT on questions for the minutes you have, with transformers' Trainer.

`finetune` is the Trainer that everybody writes, with a few things added: a callback that ends the
run by the clock and lets the learning rate follow it; batches of windows of like length; a loss
that padding has no part in, over all the answers that people gave; F1 on validation questions on
the way; and at the end a scaling of the scores and a threshold for "I don't know" in the card.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments

from src import compute, runtime
from src.qa import runs
from src.qa.answerer import QuestionAnswerer
from src.qa.batches import LEARNED_FROM, PAD_TO, LengthGroupedBatches, ReaderCollator, span_loss
from src.qa.clock import Clock, stopped_by_ctrl_c
from src.qa.dataset import Data, fingerprint, load_data
from src.qa.evaluation import evaluate
from src.qa.features import prepare_features
from src.qa.models import load_model, prepare_network
from src.qa.processes import broadcast, join

CURVE_QUESTIONS = 200  # of the validation split, to score on the way


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
    push_to_hub: str | None = None,
    report: Callable[[dict], None] | None = None,
    trainer: Callable[..., ReaderTrainer] | None = None,
) -> runs.FinetuneRun:
    """Fine-tune `model` on the questions of `data`, for `minutes` or `epochs`.

    Word embeddings stay as they are and dropout is 0. Ctrl-C stops after the
    step under way and saves a usable model.

    Args:
        model: "minilm", released weights ("qa-minilm"), a folder, or a Hub id.
        data: a name, a path, several, or a DatasetDict. Its "train" split is
            trained on; a "validation" split gives the curve of F1, the
            threshold and the calibration.
        minutes: wall time from this call to the last step; saving and scoring
            come on top and are reported apart.
        output_dir: the run's folder. Where it holds a run with other
            arguments, this one goes beside it (`live-2`).
        resume: go on with a run of the same arguments; a finished one is
            returned. False begins a new one beside it.
        seed: of the answer head and of the order of the questions.
        epochs: instead of minutes, passes over the questions. After a kill it
            ends in the same weights to the bit.
        batch_size: windows a step, over all processes.
        learning_rate: its peak; None takes 3e-4 for encoders less than 512
            wide and 5e-5 for wider ones.
        weight_decay: of AdamW.
        max_length, doc_stride: tokens of a window, and of its overlap with the
            next.
        push_to_hub: a Hub id to upload the finished model to; needs a login.
        report: called with a dict: phase ("training", then "finished" or
            "stopped"), step, steps, seconds, planned_seconds, loss,
            learning_rate, examples_per_second, history, and f1 where it was
            measured. None prints a line now and then.
        trainer: makes a ReaderTrainer of your own, with its labels and loss.

    Returns:
        The run; its folder holds model, tokenizer, card.json and run.json.

    Raises:
        RunError: arguments that no run could follow; no training questions; a
            loss that is not a number; a folder that another process trains
            in, that cannot be written, or that holds a model which no run
            left there; damaged checkpoints.
        SquadFormatError, ModelError: data or model cannot be read.
    """
    began, asked = time.perf_counter(), runs.checked(locals())
    train, validation = runs.training_splits(load_data(data))
    asked["data"] = fingerprint(train)
    asked["validation"] = validation and fingerprint(validation)
    state = join()  # the processes of a command
    run = broadcast(runs.open_run(Path(output_dir), asked, resume), state)
    with runs.working_in(run, state):
        clock = Clock(run, began, validation, report, state)
        if run.finished:
            clock.tell_again()
        else:
            runtime.set_seed(seed)
            network, tokenizer = load_model(model, 0.0, for_training=True)
            size = max_length, doc_stride
            reader = QuestionAnswerer(network, tokenizer, 0, *size)
            size = reader.max_length, reader.doc_stride  # or less
            windows = prepare_features(train, tokenizer, *size)
            trains = (trainer or ReaderTrainer)(reader, windows, clock)
            with stopped_by_ctrl_c(clock), compute.threads(trains.tuner.count):
                trains.train(resume_from_checkpoint=clock.checkpoint)
            finish(trains)
        if push_to_hub and run.finished and state.is_main_process:
            runs.publish(run, push_to_hub)
    return run


class ReaderTrainer(Trainer):
    """The Trainer, by the clock, with our batches and loss and scored by F1."""

    collator, learned_from = ReaderCollator, LEARNED_FROM

    def __init__(
        self,
        reader: QuestionAnswerer,
        windows: Dataset,
        clock: Clock,
    ):
        self.reader, self.clock, run = reader, clock, clock.run
        asked, run.processes = run.arguments, clock.state.num_processes
        prepare_network(reader.model)
        reader.device = clock.state.device  # where the Trainer trains
        reader.model.to(reader.device)
        collate = self.collator(reader.tokenizer, pad_to_multiple_of=PAD_TO)
        how = asked["batch_size"], asked["seed"], asked["epochs"], run.processes
        self.batches = LengthGroupedBatches(windows["length"], *how)
        columns = [n for n in self.learned_from if n in windows.column_names]
        windows = windows.select_columns(columns)
        moved = run.precision == "fp16" and reader.device.type == "cpu"
        # By epochs both are kept to the end, but fp16 needs a GPU.
        if asked["minutes"] or not run.threads or moved:
            batch = collate(windows.__getitems__(next(iter(self.batches))))
            found = measured(reader, batch, with_threads=asked["epochs"])
            run.precision, run.threads = broadcast(found, clock.state)
        fixed = [run.threads] if asked["epochs"] else None
        self.tuner = compute.ThreadTuner(fixed)
        if clock.state.is_main_process:
            run.save()
        arguments = training_arguments(run, self.batches, reader.model)
        parts = {"data_collator": collate, "train_dataset": windows}
        super().__init__(reader.model, arguments, callbacks=[clock], **parts)
        self.remove_callback(PrinterCallback)
        clock.start(self.batches.steps)

    def get_train_dataloader(self) -> DataLoader:
        how = {"batch_sampler": self.batches, "collate_fn": self.data_collator}
        return self.accelerator.prepare(DataLoader(self.train_dataset, **how))

    def create_scheduler(self, num_training_steps, optimizer=None) -> LambdaLR:
        self.lr_scheduler = LambdaLR(self.optimizer, self.clock.learning_rate)
        return self.lr_scheduler

    def _load_scaler(self, checkpoint) -> None:
        # There is none where a run that began in fp16 goes on without.
        super()._load_scaler(checkpoint if self.accelerator.scaler else None)

    def training_step(self, model, inputs, *args) -> Tensor:
        with self.tuner.timed(inputs["input_ids"].numel()):
            return super().training_step(model, inputs, *args)

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        loss, outputs = span_loss(model, inputs)
        # By its gradients every process learns of a loss that is no number.
        loss = loss if torch.isfinite(loss) else loss * torch.nan
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        self.control.should_evaluate = False
        if self.clock.state.is_main_process:
            start = time.perf_counter()
            self.reader.model.eval()
            questions = runs.evenly(self.clock.validation, CURVE_QUESTIONS)
            scores = evaluate(self.reader, questions)
            f1 = scores.get("best_f1", scores["f1"])  # were all thresholds free
            self.clock.add_score(f1, time.perf_counter() - start)
        self.clock.state.wait_for_everyone()
        return {}


def training_arguments(
    run: runs.FinetuneRun, batches: LengthGroupedBatches, network: PreTrainedModel
) -> TrainingArguments:
    cpu, several = not torch.cuda.is_available(), batches.processes > 1
    width = getattr(network.config, "hidden_size", 768)
    return TrainingArguments(
        output_dir=str(run.output_dir / runs.CHECKPOINTS),
        learning_rate=run.arguments["learning_rate"] or (3e-4 if width < 512 else 5e-5),
        weight_decay=run.arguments["weight_decay"],
        per_device_train_batch_size=batches.batch_size,
        max_steps=len(batches) // batches.processes,
        bf16=run.precision == "bf16",
        fp16=run.precision == "fp16",
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and several else None,
        ddp_find_unused_parameters=False if several else None,
        eval_strategy="no",  # the clock says when to log, score and save
        logging_strategy="no",
        save_strategy="no",
        save_total_limit=2,  # the newest may be cut off by a kill; then the one before it serves
        logging_nan_inf_filter=False,  # it would print a loss that is not a number as 0
        seed=run.arguments["seed"],
        disable_tqdm=True,
        report_to="none",
    )


def measured(reader: QuestionAnswerer, inputs: Mapping, with_threads: object) -> tuple[str, int]:
    """The precision and the threads that a forward and backward pass is fastest with here."""
    network, device = reader.model.train(), reader.device
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}

    def work(windows: int | None = None) -> None:
        batch = {name: tensor[:windows] for name, tensor in inputs.items()}
        span_loss(network, batch)[0].backward()
        network.zero_grad()

    old_gpu = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    half, tuner = "fp16" if old_gpu else "bf16", compute.ThreadTuner()
    precision = compute.faster_precision(lambda: work(4), device, half)
    while with_threads and tuner.is_trying:
        with tuner.timed(1), compute.autocast(device, precision):
            work()
    return precision, tuner.count


def finish(trainer: ReaderTrainer) -> None:
    """Write the model, its tokenizer and its card, and what the run was like."""
    clock, run, state = trainer.clock, trainer.clock.run, trainer.clock.state
    state.wait_for_everyone()  # nobody may still be writing into a checkpoint that is about to go
    run.finished, run.history = not clock.stopped, clock.history
    run.steps = trainer.state.global_step
    run.seconds, run.examples_per_second = round(clock.budget.seconds, 2), clock.speed
    if state.is_main_process:
        runs.save_reader(trainer.reader, run)
        start = time.perf_counter()
        run.card = runs.make_card(trainer.reader, run, clock.validation)
        scoring = clock.scoring + time.perf_counter() - start
        clock.pause.close()
        run.evaluation_seconds = round(scoring, 2)
        run.saving_seconds = round(clock.budget.pauses - scoring, 2)
        run.save()
        if run.finished:
            shutil.rmtree(run.output_dir / runs.CHECKPOINTS, ignore_errors=True)
        clock.tell("finished" if run.finished else "stopped")
    vars(run).update(broadcast(vars(run), state))
