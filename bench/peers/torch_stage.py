"""One Llama block, forward and backward, in PyTorch on the CPU, for `npm run bench -- torch`.

Started with one JSON object as its argument, it speaks JSON, a line each: it says `{"ready": true}`, answers
`{"do": "check"}` by writing y, dx and the parameters' gradients to `out`, and `{"do": "turn"}` with the mean
ms of a run, forward and backward, wall and CPU time. It ends when its input does.

`data` is a file of float32: x and dy [batch * sequence, width], then the block's parameters in the order of
`Block.NAMES`, matrices as [in, out]; `out` gets y, dx and the gradients in the same order and layout. The
block is written as is usual and fast in eager mode: linear layers, fused attention and fused norm.
"""

import json
import os
import sys
import time

import torch
from torch_block import Block


class Stage:
    def __init__(self, case):
        torch.set_num_threads(case["threads"])
        width, rows = case["width"], case["batch"] * case["sequence"]
        self.block = Block(
            width, case["heads"], case["hidden"], case["batch"], case["sequence"], case["ropeBase"], case["normEpsilon"]
        )
        values = torch.from_file(case["data"], size=os.path.getsize(case["data"]) // 4, dtype=torch.float32)
        place = 0

        def take(*shape):
            nonlocal place
            size = torch.Size(shape).numel()
            place += size
            return values[place - size : place].view(shape).clone()

        self.x, self.dy = take(rows, width).requires_grad_(), take(rows, width)
        with torch.no_grad():
            for own in self.block.tensors():
                own.copy_(take(*reversed(own.shape)).T if own.dim() == 2 else take(*own.shape))

    def run(self):
        self.x.grad = None
        self.block.zero_grad(set_to_none=True)
        y = self.block(self.x)
        y.backward(self.dy)
        return y

    def check(self, out):
        y = self.run()
        gradients = [own.grad.T if own.dim() == 2 else own.grad for own in self.block.tensors()]
        with open(out, "wb") as file:
            for values in (y.detach(), self.x.grad, *gradients):
                file.write(values.contiguous().numpy().tobytes())
        return {"written": True}

    def turn(self, ms):
        wall, cpu, runs = time.perf_counter(), time.process_time(), 0
        while runs == 0 or (time.perf_counter() - wall) * 1000 < ms:
            self.run()
            runs += 1
        return {
            "wallMs": 1000 * (time.perf_counter() - wall) / runs,
            "cpuMs": 1000 * (time.process_time() - cpu) / runs,
        }


def main():
    stage = Stage(json.loads(sys.argv[1]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = stage.check(request["out"]) if request["do"] == "check" else stage.turn(request["ms"])
        print(json.dumps(answer), flush=True)


main()
