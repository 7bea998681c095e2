import { z } from "zod";
import { Failure } from "../../src-protocol/failure.ts";
import { printable } from "../printable.ts";

/** Of the JSON that a file begins with; the format itself allows 100 MB. A tensor takes about 120 bytes of it. */
export const LARGEST_HEADER_BYTES = 32 * 1024 * 1024;
/** The header's own length, at a file's beginning. */
export const LENGTH_BYTES = 8;
const MOST_TENSORS = 200_000;
const MOST_AXES = 8;
const LONGEST_NAME = 1000;

/** Bytes of a number. */
const DTYPES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;
export type Dtype = keyof typeof DTYPES;

/** A tensor's place in its file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Bytes from the file's beginning: `from` up to, not including, `to`. */
  readonly from: number;
  readonly to: number;
}

export interface SafetensorsHeader {
  /** In the order of their places. */
  readonly tensors: readonly StoredTensor[];
  /** What the file says of itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

const whole = z.int().nonnegative();
const entry = z.object({
  dtype: z.string().max(32),
  shape: z.array(whole).max(MOST_AXES),
  data_offsets: z.tuple([whole, whole]),
});

/**
 * How long a file's JSON is, by its first eight bytes.
 *
 * @throws Failure `bad-safetensors`
 */
export function headerLength(first: Uint8Array, fileBytes: number): number {
  if (first.length < LENGTH_BYTES) throw bad("it is shorter than 8 bytes");
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(LARGEST_HEADER_BYTES))
    throw bad(
      `its header would have ${length} bytes, and at most ${LARGEST_HEADER_BYTES} are read. It may be no safetensors file`,
    );
  if (Number(length) + LENGTH_BYTES > fileBytes) throw bad("it ends within its header");
  return Number(length);
}

/**
 * The tensors that a file of `fileBytes` bytes has, by its JSON. They lie behind each other without a
 * gap or an overlap and fill the file, as the format demands.
 *
 * @throws Failure `bad-safetensors`
 */
export function parseHeader(json: Uint8Array, fileBytes: number): SafetensorsHeader {
  const value = jsonOf(json);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad("its header is no JSON object");
  const { __metadata__: given = {}, ...entries } = value as Record<string, unknown>;
  const metadata = z.record(z.string(), z.string()).safeParse(given ?? {});
  if (!metadata.success) throw bad("its __metadata__ holds something else than text");
  const names = Object.keys(entries);
  if (names.length > MOST_TENSORS)
    throw bad(`it has ${names.length} tensors; at most ${MOST_TENSORS} are read`);
  const begin = LENGTH_BYTES + json.length;
  const tensors = names.map((name) => tensorOf(name, entries[name], begin));
  tensors.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = begin;
  for (const { name, from, to } of tensors) {
    if (from !== end)
      throw bad(
        `the tensor "${printable(name)}" ${from < end ? "overlaps another one" : "leaves a gap before it"}`,
      );
    end = to;
  }
  if (end === fileBytes) return { tensors, metadata: metadata.data };
  throw bad(
    end > fileBytes
      ? `it has ${fileBytes} bytes, and its tensors reach to byte ${end}: it was cut off, so copy it again`
      : `${fileBytes - end} bytes at its end belong to no tensor`,
  );
}

function tensorOf(name: string, value: unknown, begin: number): StoredTensor {
  const shown = `the tensor "${printable(name)}"`;
  if (name.length > LONGEST_NAME) throw bad(`${shown} has a name of ${name.length} letters`);
  const parsed = entry.safeParse(value);
  if (!parsed.success) throw bad(`${shown} is not described as the format demands`);
  const { dtype, shape, data_offsets: offsets } = parsed.data;
  if (!Object.hasOwn(DTYPES, dtype))
    throw bad(`${shown} is of the type ${printable(dtype)}, which is not known here`);
  let bytes = DTYPES[dtype as Dtype];
  for (const size of shape) {
    bytes = (bytes * size) as typeof bytes;
    if (!Number.isSafeInteger(bytes)) throw bad(`${shown} is too large`);
  }
  const [from, to] = [begin + offsets[0], begin + offsets[1]];
  if (!Number.isSafeInteger(to) || to - from !== bytes)
    throw bad(`${shown} has ${to - from} bytes, and ${bytes} by its shape [${shape.join(", ")}]`);
  return { name, dtype: dtype as Dtype, shape, from, to };
}

/** What a file begins with, for tensors behind each other in this order. Data begin at a multiple of 8. */
export function encodeHeader(
  tensors: readonly Pick<StoredTensor, "name" | "dtype" | "shape">[],
  metadata: Readonly<Record<string, string>>,
): { bytes: Uint8Array; tensors: StoredTensor[]; fileBytes: number } {
  let at = 0;
  const places = tensors.map(({ name, dtype, shape }) => {
    const from = at;
    at += shape.reduce((product, size) => product * size, DTYPES[dtype]);
    return { name, dtype, shape, from, to: at };
  });
  const entries = places.map(({ name, dtype, shape, from, to }) => [
    name,
    { dtype, shape, data_offsets: [from, to] },
  ]);
  const all = [...(Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : []), ...entries];
  const text = `{${all.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const json = new TextEncoder().encode(text);
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20, LENGTH_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, LENGTH_BYTES);
  for (const place of places) {
    place.from += bytes.length;
    place.to += bytes.length;
  }
  return { bytes, tensors: places, fileBytes: bytes.length + at };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw bad("its header is not JSON");
  }
}

function bad(why: string): Failure {
  return new Failure("bad-safetensors", `The safetensors file cannot be read: ${why}.`);
}
