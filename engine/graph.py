"""One optimizer update compiled by OneFlow's `nn.Graph`: the same arithmetic as a static program.

Weights and optimizer tensors stay where they are: a graph works on the tensors of the model and the
optimizer themselves. So evaluations, checkpoints and schedules need not know about it, and a batch
of another size (the last of an epoch) has a graph of its own beside the first one.

`nn.Graph` would compile the schedule too, or rather OneFlow's own ones of those that it knows, and
never tell the rate. Here the rates of the optimizer's groups, which the scheduler sets as always,
are inputs of the graph: those logged are those applied, bit for bit, for any schedule.
"""

from typing import Any

import oneflow as flow
from oneflow import nn

from engine.finite import Gate, total
from engine.hits import count_hits

TRAIN_STEP = "System-Train-TrainStep"  # counts updates: Adam, LAMB and Adagrad need their number
LOSS_SCALE = "System-Train-DynamicLossScale-"

# What optimizers call their tensors, and what these are called as variables of a graph.
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
    """The static program of a step.

    Args:
        model, criterion, optimizer, clip_grad_norm: as for `EagerUpdate`.
        amp: whether to compute in half precision where OneFlow thinks it safe, with a loss scale
            that follows what half precision can hold (Micikevicius et al., 2018, arXiv:1710.03740).
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        optimizer: flow.optim.Optimizer,
        clip_grad_norm: float | None,
        amp: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.criterion = criterion
        self.parameters = list(model.parameters())
        self.clip_grad_norm = clip_grad_norm
        self.amp = amp
        self.add_optimizer(optimizer)
        if amp:
            self.config.enable_amp(True)
            self.set_grad_scaler(flow.amp.GradScaler())

    def build(
        self, images: flow.Tensor, labels: flow.Tensor, closed: flow.Tensor, *rates: flow.Tensor
    ) -> tuple[flow.Tensor, flow.Tensor, flow.Tensor]:
        """What is compiled; `rates` (1,), one per parameter group, go to the updates (`rewire`)."""
        logits = self.model(images)  # (n, classes)
        loss = self.criterion(logits, labels)
        loss.backward()
        watch = flow.stack([loss, loss if self.amp else self.measure()])
        bad = 1 - flow.isfinite(watch).to(flow.int64).min().reshape(1)
        correct = count_hits(logits.argmax(dim=1), labels).sum()
        return watch, correct, flow.maximum(closed, bad)

    def measure(self) -> flow.Tensor:
        """Clip the gradient if that is wanted; a number () that is finite if all of it is."""
        updated = [entry for entry in self.parameters if entry.grad is not None]
        if self.clip_grad_norm is None:
            return total(entry.grad for entry in updated)
        # As nn.utils.clip_grad_norm_, which writes in place: a graph would not see it.
        norms = [flow.linalg.vector_norm(entry.grad) for entry in updated]
        norm = flow.linalg.vector_norm(flow.stack(norms))
        factor = (self.clip_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        for entry in updated:
            entry.grad = entry.grad * factor
        return norm

    def rewire(self, groups: int) -> None:
        """Let the updates use the rates fed to the graph, and leave them out where it is closed.

        A graph has an operation that computes each group's rate from a schedule. Here no update
        reads it any more. `skip_if` is the input of which `engine.finite.Gate` tells; with a loss
        scale OneFlow uses it itself.
        """
        job: Any = getattr(self, "_full_graph_proto")  # noqa: B009 (mypy cannot tell its type)
        inputs = [op for op in job.net.op if op.HasField("input_conf")]
        outputs = [op for op in job.net.op if op.HasField("output_conf")]
        fed = [f"{op.name}/{op.input_conf.out}" for op in inputs[-groups:]]
        closed = getattr(outputs[-1].output_conf, "in")
        own = [conf.learning_rate_lbn for conf in job.job_conf.train_conf.optimizer_conf]
        instead = dict(zip(own, fed, strict=True))
        updates = [op for op in job.net.op if "learning_rate" in op.user_conf.input]
        for update in updates:
            rate = update.user_conf.input["learning_rate"].s
            rate[0] = instead[rate[0]]
            if not self.amp:
                update.user_conf.input["skip_if"].s.append(closed)
        read = {name for op in job.net.op for key in op.user_conf.input.values() for name in key.s}
        assert updates and not read & set(own)
        self._full_graph_proto = job  # and with it OneFlow's own copy


# All of them, until the process ends: OneFlow may crash when a graph is deleted before that.
_kept: list["GraphUpdate"] = []


class GraphUpdate:
    """What `EagerUpdate` does, through graphs: one for each size of a batch.

    With `amp` an update whose gradient overflows under the loss scale is left out, OneFlow halves
    the scale, and `retries` asks for the same batch again: a step is an applied update, so neither
    the schedule nor the order of the data notices. To learn which it was, each step waits.

    Args:
        model, criterion, optimizer, clip_grad_norm: as for `EagerUpdate`.
        skips: the same; then each step waits for its loss.
        amp: whether to use mixed precision.
        stochastic: whether the model draws random numbers.

    Raises:
        ValueError: something that a graph cannot do, or not as it should.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        optimizer: flow.optim.Optimizer,
        clip_grad_norm: float | None,
        skips: bool,
        *,
        amp: bool,
        stochastic: bool,
    ) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        check_possible(optimizer, clip_grad_norm, amp, stochastic, self.device.type)
        self.parts = (model, criterion, optimizer, clip_grad_norm, amp)
        self.optimizer = optimizer
        self.waits = skips and not amp
        self.retries = amp
        self.closed = flow.zeros(1, dtype=flow.int64, device=self.device)  # as that of `Gate`
        self.graphs: dict[tuple[int, ...], StepGraph] = {}  # by the images' shape
        _kept.append(self)
        self.train_step = flow.zeros(1, dtype=flow.int64)
        self.loss_scale: dict[str, flow.Tensor] = {}  # OneFlow's two tensors about it
        self.batches = 0  # of which the norms' counters do not know yet

    def __call__(
        self, images: flow.Tensor, labels: flow.Tensor
    ) -> tuple[flow.Tensor, flow.Tensor, bool]:
        """Make the update of a batch; takes and returns what `EagerUpdate` does."""
        rates = [self.fed(group["lr"]) for group in self.optimizer.param_groups]
        inputs = (images, labels, self.closed, *rates)
        graph = self.graphs.get(tuple(images.shape)) or self.compile(*inputs)
        watch, correct, closed = graph(*inputs)
        if self.retries:
            synchronize()
            sound = bool(self.train_step.numpy()[0] > self.updates)
        elif self.waits:
            sound = not closed.numpy()[0]
        else:
            self.closed, sound = closed, True  # what became of it, the device knows
        if sound:
            self.optimizer._state["step"] += 1
            self.batches += 1
        elif self.waits:
            synchronize()
            self.train_step.copy_(flow.tensor([self.updates]))
        return watch, correct, sound

    @property
    def updates(self) -> int:
        """How many updates the optimizer has made."""
        return int(self.optimizer._state["step"])

    def fed(self, rate: float) -> flow.Tensor:
        """A rate (1,) as a graph takes it: the nearest float32, which eager updates use too."""
        return flow.tensor([rate], dtype=flow.float32, device=self.device)

    def compile(self, *inputs: flow.Tensor) -> StepGraph:
        """A new graph for inputs of these shapes, on the tensors of the model and the optimizer.

        Raises:
            ValueError: OneFlow cannot compile this model.
        """
        self.model.train()  # a graph stays what it was compiled as
        graph = StepGraph(*self.parts)
        if not self.graphs:
            self.train_step.copy_(flow.tensor([self.updates]))
        try:
            graph.build_graph(*inputs)
        except Exception as error:
            told = " ".join(str(error).split())
            name = type(self.model).__name__
            raise ValueError(
                f"trainer.graph=true: OneFlow cannot compile {name}: {told:.300}; expected false."
            ) from error
        for parameter in self.model.parameters():
            parameter.grad = None  # they are symbols of this graph
        graph.rewire(len(self.optimizer.param_groups))
        graph._additional_variable_tobe_loaded.update(self.find_tensors(graph))
        graph.finish_complie_and_init_runtime()
        self.graphs[tuple(inputs[0].shape)] = graph
        return graph

    def find_tensors(self, graph: StepGraph) -> dict[str, flow.Tensor]:
        """The tensors that stand for a graph's own variables; the optimizer's are made if need be.

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
        """What a checkpoint holds of it besides model and optimizer, which are made up to date."""
        synchronize()
        assert not self.graphs or self.train_step.numpy()[0] == self.updates
        for name, buffer in self.model.named_buffers():
            if name.rpartition(".")[2] == "num_batches_tracked":  # a graph does not move it
                buffer.add_(self.batches)
        self.batches = 0
        return dict(self.loss_scale)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned, before the first step."""
        self.loss_scale = dict(state)


def synchronize() -> None:
    """Wait until graphs have done what they were given: their own variables may be read then."""
    flow._oneflow_internal.eager.Sync()


def check_possible(
    optimizer: flow.optim.Optimizer,
    clip_grad_norm: float | None,
    amp: bool,
    stochastic: bool,
    device: str,
) -> None:
    """Refuse what a graph cannot do, or would do otherwise than promised.

    Raises:
        ValueError: names the key, and what is accepted.
    """
    key = "trainer.amp=true" if amp else "trainer.graph=true"
    if amp and device != "cuda":
        raise ValueError(f"{key}: OneFlow has mixed precision on a GPU only; expected false.")
    if amp and clip_grad_norm is not None:
        raise ValueError(
            f"trainer.clip_grad_norm={clip_grad_norm}: with {key} the gradient carries the loss "
            "scale while it could be clipped; expected null."
        )
    if stochastic:
        raise ValueError(
            f"{key}: this model has dropout, whose masks follow no seed in a graph; expected "
            "false, or a model without dropout."
        )
    if not Gate.fits(optimizer):
        raise ValueError(
            f"{key}: nn.Graph knows OneFlow's own optimizers only, not fused; "
            f"{type(optimizer).__name__} is none of them; expected false."
        )
    if flow.env.get_world_size() > 1:
        raise ValueError(f"{key} works in one process, and this is one of several; expected false.")
