import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { decoderParameters } from "../src-engine/families/decoder-parameters.ts";
import { readConfig } from "../src-engine/families/config.ts";
import { encodeHeader } from "../src-engine/families/safetensors.ts";
import { randomStream } from "../src-engine/random.ts";

const VOCABULARY = 32_000;
const WIDTH = 1024;
const HIDDEN = 2752;
const HEADS = 16;
const PIECE_NUMBERS = 1024 * 1024;

/**
 * A folder of the family Llama of about so many bytes, as Transformers would write it untrained, in
 * float32. It is written piece by piece. Gives how many parameters it has.
 */
export function makeRandomFolder(path: string, bytes: number, tied = false): number {
  const perBlock = 4 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN + 2 * WIDTH;
  const others = (tied ? 1 : 2) * VOCABULARY * WIDTH + WIDTH;
  const blocks = Math.max(3, Math.round((bytes / Float32Array.BYTES_PER_ELEMENT - others) / perBlock));
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: VOCABULARY,
    hidden_size: WIDTH,
    intermediate_size: HIDDEN,
    num_hidden_layers: blocks,
    num_attention_heads: HEADS,
    num_key_value_heads: HEADS,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: tied,
    dtype: "float32",
  };
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "config.json"), JSON.stringify(config, null, 2));
  const spec = { ...readConfig(config).config, files: [], prefix: "model." as const };
  const parameters = decoderParameters(spec);
  const { bytes: header } = encodeHeader(
    parameters.map(({ name, shape, transposed }) => ({
      name,
      dtype: "F32",
      shape: transposed ? shape.toReversed() : shape,
    })),
    { format: "pt" },
  );
  const random = randomStream("random folder");
  // Uniform, with the deviation 0.02; the same piece again and again, begun at another place.
  const noise = Float32Array.from({ length: PIECE_NUMBERS }, () => (random() - 0.5) * 0.02 * Math.sqrt(12));
  const ones = new Float32Array(WIDTH).fill(1);
  const file = openSync(join(path, "model.safetensors"), "w");
  try {
    write(file, header);
    for (const { shape, size } of parameters) {
      if (shape.length === 1) {
        write(file, new Uint8Array(ones.buffer, 0, size * 4));
        continue;
      }
      for (let done = 0; done < size;) {
        const start = Math.floor(random() * 1000);
        const count = Math.min(size - done, noise.length - start);
        write(file, new Uint8Array(noise.buffer, start * 4, count * 4));
        done += count;
      }
    }
  } finally {
    closeSync(file);
  }
  return parameters.reduce((sum, { size }) => sum + size, 0);
}

function write(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done);
}
