"""One optimizer update compiled by OneFlow's `nn.Graph`: the same arithmetic as a static program.

A graph works on the tensors of the model and the optimizer themselves, so evaluations, checkpoints
and schedules need not know about it. A batch of another size (the last of an epoch) has a graph of
its own beside the first one.

`nn.Graph` would compile OneFlow's own schedules too, and hide the learning rate. Here the rates of
the optimizer's groups, which the scheduler sets as always, are inputs of the graph: those logged
are those applied, bit for bit, for any schedule.
"""

from dataclasses import dataclass
from typing import Any

import oneflow as flow
from oneflow import nn

from common.checks import refusal
from engine.checkpoint import reason
from engine.process.ranks import SIZE
from engine.update import EagerUpdate, count_hits

TRAIN_STEP = "System-Train-TrainStep"  # counts updates: Adam, LAMB and Adagrad need their number
LOSS_SCALE = "System-Train-DynamicLossScale-"

# An optimizer's tensors: their names as variables of a graph, and in its state.
TENSORS = {
    "momentum": "momentum_buf",
    "m": "exp_avg",
    "v": "exp_avg_sq",
    "max_v": "max_exp_avg_sq",
    "mean_square": "square_avg",
    "mean_gradient": "grad_avg",
    "sum": "sum",
    "square_avgs": "square_avgs",
    "acc_deltas": "acc_deltas",
}


class StepGraph(nn.Graph):
    """The static program of a step."""

    def __init__(self, update: "GraphUpdate") -> None:
        super().__init__()
        self.model = update.model
        self.criterion = update.criterion
        self.parameters = list(update.model.parameters())
        self.clip_grad_norm = update.clip_grad_norm
        self.add_optimizer(update.optimizer)
        if update.amp:
            self.config.enable_amp(True)
            self.set_grad_scaler(flow.amp.GradScaler())

    def build(
        self, images: flow.Tensor, labels: flow.Tensor, *rates: flow.Tensor
    ) -> tuple[flow.Tensor, flow.Tensor]:
        """Define the program; `rates` (1,), one per parameter group, go to the updates later."""
        logits = self.model(images)  # (n, classes)
        loss = self.criterion(logits, labels)
        loss.backward()
        if self.clip_grad_norm is not None:
            self.clip(self.clip_grad_norm)
        return loss, count_hits(logits.argmax(dim=1), labels).sum()

    def clip(self, largest: float) -> None:
        """Scale the gradient as nn.utils.clip_grad_norm_, which writes in place: a graph cannot."""
        updated = [entry for entry in self.parameters if entry.grad is not None]
        norms = [flow.linalg.vector_norm(entry.grad) for entry in updated]
        norm = flow.linalg.vector_norm(flow.stack(norms))
        factor = (largest / (norm + 1e-6)).clamp(max=1.0)
        for entry in updated:
            entry.grad = entry.grad * factor

    def use_input_rates(self, groups: int) -> None:
        """Let the updates read the learning rates from the graph's last `groups` inputs.

        A graph computes each group's rate from a schedule; afterwards no update reads that one.
        """
        job: Any = getattr(self, "_full_graph_proto")  # noqa: B009 (mypy does not know its type)
        inputs = [op for op in job.net.op if op.HasField("input_conf")]
        given = [f"{op.name}/{op.input_conf.out}" for op in inputs[-groups:]]
        computed = [conf.learning_rate_lbn for conf in job.job_conf.train_conf.optimizer_conf]
        replacement = dict(zip(computed, given, strict=True))
        updates = [op for op in job.net.op if "learning_rate" in op.user_conf.input]
        for update in updates:
            rate = update.user_conf.input["learning_rate"].s
            rate[0] = replacement[rate[0]]
        read = {name for op in job.net.op for key in op.user_conf.input.values() for name in key.s}
        assert updates and not read & set(computed)
        self._full_graph_proto = job  # and with it OneFlow's own copy


# All of them, until the process ends: OneFlow may crash when a graph is deleted before that.
_kept: list["GraphUpdate"] = []


@dataclass(eq=False, repr=False)
class GraphUpdate(EagerUpdate):
    """An `EagerUpdate` through graphs: one for each size of a batch.

    With `amp` OneFlow computes in half precision where it thinks that safe, with a loss scale that
    follows what half precision can hold (Micikevicius et al., 2018, arXiv:1710.03740): it leaves an
    update out whose gradient overflows, and halves the scale. The step counts, as with PyTorch's
    GradScaler; the optimizer's number of updates is read from the graph when state is saved.
    """

    amp: bool  # mixed precision
    stochastic: bool  # whether the model draws random numbers

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        check_possible(
            self.optimizer, self.clip_grad_norm, self.amp, self.stochastic, self.device.type, SIZE
        )
        self.graphs: dict[tuple[int, ...], StepGraph] = {}  # by the images' shape
        _kept.append(self)
        self.train_step = flow.zeros(1, dtype=flow.int64)  # the graphs' counter of updates
        self.loss_scale: dict[str, flow.Tensor] = {}  # OneFlow's two tensors about it
        self.batches = 0  # which the norms' counters do not include yet

    def __call__(self, images: flow.Tensor, labels: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        """Make the update of a batch; takes and returns what `EagerUpdate` does."""
        groups = self.optimizer.param_groups
        # float32, to which eager updates round a rate too
        rates = [flow.tensor([g["lr"]], dtype=flow.float32, device=self.device) for g in groups]
        inputs = (images, labels, *rates)
        graph = self.graphs.get(tuple(images.shape)) or self.compile(*inputs)
        self.batches += 1
        return graph(*inputs)

    def compile(self, *inputs: flow.Tensor) -> StepGraph:
        """Return a new graph for these shapes; refuse a model that cannot be compiled."""
        self.model.train()  # a graph stays what it was compiled as
        graph = StepGraph(self)
        if not self.graphs:
            self.train_step.copy_(flow.tensor([self.optimizer._state["step"]]))
        try:
            graph.build_graph(*inputs)
        except Exception as error:
            sentence = f"OneFlow cannot compile {type(self.model).__name__}: {reason(error)}."
            raise ValueError(f"{refusal('trainer.graph', True, 'false')} {sentence}") from error
        for parameter in self.model.parameters():
            parameter.grad = None  # they are symbols of this graph
        graph.use_input_rates(len(self.optimizer.param_groups))
        graph._additional_variable_tobe_loaded.update(self.find_tensors(graph))
        graph.finish_complie_and_init_runtime()
        self.graphs[tuple(inputs[0].shape)] = graph
        return graph

    def find_tensors(self, graph: StepGraph) -> dict[str, flow.Tensor]:
        """Return the tensors for a graph's own variables; make the optimizer's if need be.

        A variable that is given a tensor before the first step works on that very tensor.
        """
        owners = {f"model.{name}": entry for name, entry in self.model.named_parameters()}
        found = {TRAIN_STEP: self.train_step}
        for op in graph._full_graph_proto.net.op:
            owner, _, name = op.name.rpartition("-")
            if not op.HasField("variable_conf") or op.name == TRAIN_STEP:
                continue
            if op.name.startswith(LOSS_SCALE):
                first = {"LossScale": flow.tensor([2.0**16]), "GoodStepCounter": flow.tensor([0])}
                found[op.name] = self.loss_scale.setdefault(name, first[name])
            elif owner in owners:
                tensors = self.optimizer._state[owners[owner]]
                if TENSORS[name] not in tensors:
                    tensors[TENSORS[name]] = flow.zeros_like(owners[owner])
                found[op.name] = tensors[TENSORS[name]]
        return found

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it, and bring model and optimizer up to date."""
        flow._oneflow_internal.eager.Sync()  # the graphs' variables may be read after it
        if self.graphs:
            self.optimizer._state["step"] = int(self.train_step.numpy()[0])
        for name, buffer in self.model.named_buffers():
            if name.rpartition(".")[2] == "num_batches_tracked":  # a graph does not move it
                buffer.add_(self.batches)
        self.batches = 0
        return dict(self.loss_scale)

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned, before the first step."""
        self.loss_scale = dict(state)


def check_possible(
    optimizer: flow.optim.Optimizer,
    clip_grad_norm: float | None,
    amp: bool,
    stochastic: bool,
    device: str,
    ranks: int,
) -> None:
    """Refuse what a graph cannot do, or would do otherwise than promised."""
    kind = type(optimizer)
    fused = any("fused" in group and group["fused"] for group in optimizer.param_groups)
    foreign = fused or not kind.__module__.startswith("oneflow.")
    name, clips = kind.__name__, amp and clip_grad_norm is not None
    for is_there, obstacle in (
        (amp and device != "cuda", "OneFlow has mixed precision on a GPU only"),
        (clips, "With trainer.clip_grad_norm the gradient would be clipped with its loss scale"),
        (stochastic, "The masks of this model's dropout would follow no seed"),
        (foreign, f"nn.Graph knows OneFlow's own optimizers only, not fused, and not {name}"),
        (ranks > 1, "A graph works in one process, and this is one of several"),
    ):
        if is_there:
            key = "trainer.amp" if amp else "trainer.graph"
            raise ValueError(f"{refusal(key, True, 'false')} {obstacle}.")
