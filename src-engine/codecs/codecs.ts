import type { CodecName } from "../../src-protocol/link-codecs.ts";
import type { Codec } from "./codec.ts";
import { f16 } from "./f16.ts";
import { f32 } from "./f32.ts";
import { int4h } from "./int4h.ts";
import { int8b64 } from "./int8b64.ts";

/** Every codec by the name that a tensor's meta carries, from most to fewest bits per value. */
export const CODECS = { f32, f16, int8b64, int4h } as const satisfies Record<CodecName, Codec>;
