import { expect, it } from "vitest";
import type { RunCommand } from "../children/run-command.ts";
import { cardEnvironment, nvidiaCards, parseCards, visibleCards } from "./cards.ts";

/** As `nvidia-smi` prints it on a computer with two cards. */
const TWO = `0, GPU-3d1c8fe0-1b4e-7c6a-9f0a-0f6a3b7f8f11, NVIDIA GeForce RTX 3090
1, GPU-a7f0a3b2-52b9-1f44-8d6b-4c8b3f7f2c01, NVIDIA GeForce RTX 4070 Ti SUPER
`;
const NO_DRIVER =
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n";

it("each card has its number, its lasting name and its model", () => {
  expect(parseCards(TWO)).toEqual([
    { index: 0, uuid: "GPU-3d1c8fe0-1b4e-7c6a-9f0a-0f6a3b7f8f11", name: "NVIDIA GeForce RTX 3090" },
    { index: 1, uuid: "GPU-a7f0a3b2-52b9-1f44-8d6b-4c8b3f7f2c01", name: "NVIDIA GeForce RTX 4070 Ti SUPER" },
  ]);
});

it.each([NO_DRIVER, "No devices were found\n", "", "0, [Unknown Error], NVIDIA A100\n"])(
  "no card is made out of %j",
  (output) => expect(parseCards(output)).toEqual([]),
);

it("cards that their owner keeps from this program stay theirs", () => {
  const cards = parseCards(TWO);
  const seen = (visible: string | undefined) => visibleCards(cards, visible).map(({ index }) => index);
  expect(seen(undefined)).toEqual([0, 1]);
  expect(seen("1")).toEqual([1]);
  expect(seen("1,0")).toEqual([1, 0]);
  expect(seen("GPU-a7f0")).toEqual([1]);
  expect(seen("")).toEqual([]);
  expect(seen("-1")).toEqual([]);
  expect(seen("0,7,1")).toEqual([0]);
});

it("are asked of the driver's own tool, and there are none without it", async () => {
  const run: RunCommand = async (command) => (command === "nvidia-smi" ? TWO : null);
  const cards = await nvidiaCards(run, {});
  expect(cards.map(cardEnvironment)).toEqual([
    { CUDA_VISIBLE_DEVICES: "GPU-3d1c8fe0-1b4e-7c6a-9f0a-0f6a3b7f8f11" },
    { CUDA_VISIBLE_DEVICES: "GPU-a7f0a3b2-52b9-1f44-8d6b-4c8b3f7f2c01" },
  ]);
  expect(await nvidiaCards(async () => null, {})).toEqual([]);
});
