import { Failure } from "../../src-protocol/failure.ts";
import { composite, int, text } from "../operator.ts";
import type { Tensor } from "../tensor.ts";

function misfit(x: Tensor, blocksize: number): Failure {
  return new Failure(
    "bad-shape",
    `[${x.shape}] cannot be arranged in blocks of ${blocksize} × ${blocksize}.`,
  );
}

/** Channels of [batch, channels, height, width] exchanged for positions: sub-pixel convolutions, patches. */
export const blocks = {
  /** A block of positions for every blocksize² channels, which lie apart (DCR) or side by side (CRD). */
  DepthToSpace: composite({
    inputs: 1,
    attributes: { blocksize: int(0), mode: text("DCR") },
    expand: ({ inputs: [x], attributes: { blocksize: size, mode } }) => {
      const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
      const depth = channels / (size * size);
      if (x.rank !== 4 || !(size >= 1) || !Number.isInteger(depth)) throw misfit(x, size);
      if (mode !== "CRD" && mode !== "DCR")
        throw new Failure("bad-node", `The order "${mode.slice(0, 40)}" of channels is unknown.`);
      const apart =
        mode === "CRD"
          ? x.reshape([batch, depth, size, size, height, width]).transpose(0, 1, 4, 2, 5, 3)
          : x.reshape([batch, size, size, depth, height, width]).transpose(0, 3, 4, 1, 5, 2);
      return apart.reshape([batch, depth, height * size, width * size]);
    },
  }),
  /** blocksize² times the channels for every block of positions. */
  SpaceToDepth: composite({
    inputs: 1,
    attributes: { blocksize: int(0) },
    expand: ({ inputs: [x], attributes: { blocksize: size } }) => {
      const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
      const [rows, columns] = [height / size, width / size];
      if (x.rank !== 4 || !(size >= 1) || !Number.isInteger(rows) || !Number.isInteger(columns))
        throw misfit(x, size);
      return x
        .reshape([batch, channels, rows, size, columns, size])
        .transpose(0, 3, 5, 1, 2, 4)
        .reshape([batch, channels * size * size, rows, columns]);
    },
  }),
};
