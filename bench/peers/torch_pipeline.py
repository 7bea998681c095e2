"""The default model in PyTorch's own pipeline (torch.distributed.pipelining, Schedule1F1B, gloo) or, as one stage, in
one process, for `npm run bench -- pipeline`.

Started with one JSON object as its argument, once for each stage; the processes find each other by the file
`meeting`. The first stage writes a line with Unix milliseconds for each step that it has finished. Text is random:
what it says costs nothing. They end when they are killed.

MKL, in which PyTorch multiplies, asks whose processor it is and takes a slower way on some that are not Intel's.
`saysIntel` has it hear that this one is.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B
from torch.nn import functional as F
from torch_block import Block

WAIT = timedelta(hours=1)


def say_intel():
    """Sets what MKL has remembered of the maker of the processor, before it asks. Linux; needs `nm`."""
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps if line.rstrip().endswith("libtorch_cpu.so")]
    base = min(int(line[0].split("-")[0], 16) for line in lines)
    symbols = subprocess.run(["nm", lines[0][-1]], capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in symbols.splitlines() if line.endswith(("mkl_serv_intel_cpu_true.cached", "mkl_serv_intel_cpu.cached"))]
    if not found:
        sys.exit("This PyTorch has no MKL that could be told whose processor it is.")
    for address, _, _ in found:
        ctypes.c_int.from_address(base + int(address, 16)).value = 1


class Part(nn.Module):
    """The blocks of one stage; at the head also the embedding, at the tail the scores."""

    def __init__(self, case, stage, stages):
        super().__init__()
        width, each = case["width"], case["blocks"] // stages
        self.rows = case["batch"] * case["sequence"]
        self.embedding = nn.Embedding(case["vocabulary"], width) if stage == 0 else None
        self.blocks = nn.ModuleList(
            Block(width, case["heads"], case["hidden"], case["batch"], case["sequence"], case["ropeBase"], case["normEpsilon"])
            for _ in range(each)
        )
        is_tail = stage == stages - 1
        self.norm = nn.RMSNorm(width, case["normEpsilon"]) if is_tail else None
        self.scores = nn.Linear(width, case["vocabulary"], bias=False) if is_tail else None
        for values in self.parameters():
            nn.init.normal_(values, std=0.02) if values.dim() > 1 else nn.init.ones_(values)

    def forward(self, x):
        if self.embedding is not None:
            x = self.embedding(x).view(self.rows, -1)
        for block in self.blocks:
            x = block(x)
        return x if self.norm is None else self.scores(self.norm(x))


PR_SET_PDEATHSIG = 1


def main():
    # Linux: it ends with the benchmark, however that ends, and also while it stands still.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            sys.exit("The benchmark has ended before this began.")
    case = json.loads(sys.argv[1])
    stage, stages, count = case["stage"], case["stages"], case["microBatches"]
    # A worker's compute thread has this priority: who lends gives way, on both sides.
    os.nice(15)
    if case["saysIntel"]:
        say_intel()
    torch.set_num_threads(case["threads"])
    torch.manual_seed(stage)
    part = Part(case, stage, stages)
    rows = case["batch"] * case["sequence"]
    own = case["optimizer"]
    optimizer = torch.optim.AdamW(
        part.parameters(),
        lr=own["learningRate"],
        betas=(own["beta1"], own["beta2"]),
        eps=own["epsilon"],
        weight_decay=own["weightDecay"],
        fused=True,
    )

    def text():
        return torch.randint(case["vocabulary"], (rows * count,))

    if stages == 1:

        def step():
            for tokens, targets in zip(text().chunk(count), text().chunk(count)):
                (F.cross_entropy(part(tokens), targets) / count).backward()

    else:
        dist.init_process_group("gloo", init_method=f"file://{case['meeting']}", rank=stage, world_size=stages, timeout=WAIT)
        schedule = Schedule1F1B(
            PipelineStage(part, stage, stages, torch.device("cpu")), n_microbatches=count, loss_fn=F.cross_entropy
        )

        def step():
            if stage == 0:
                schedule.step(text())
            elif stage == stages - 1:
                schedule.step(target=text(), losses=[])
            else:
                schedule.step()

    while True:
        optimizer.zero_grad(set_to_none=True)
        step()
        optimizer.step()
        if stage == 0:
            print(round(time.time() * 1000), flush=True)


main()
