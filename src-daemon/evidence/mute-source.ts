import type { IdleReading } from "./probe.ts";

/** Nobody holds a key down for so long: what still says 0 says it always. */
const MUTE_AFTER_MS = 15 * 60_000;
/** Asked less often than this it may have missed the pauses in between. */
const LONGEST_GAP_MS = 30_000;

export interface MaybeMute {
  read(): Promise<IdleReading>;
  /** It answers, and always the same. */
  readonly isMute: boolean;
}

/**
 * A source that says "in use, this very moment" at every reading for a quarter of an hour does not
 * know: KDE's hint and its idle time under Wayland are such. It is asked on, and believed again when it
 * says something else.
 */
export function noticingMute(ask: () => Promise<IdleReading>, now: () => number): MaybeMute {
  let zeroSince: number | null = null;
  let lastAt: number | null = null;
  let mute = false;
  return {
    get isMute() {
      return mute;
    },
    async read() {
      const seconds = await ask();
      const at = now();
      const gap = lastAt === null ? 0 : Math.abs(at - lastAt);
      lastAt = at;
      if (seconds !== 0) {
        zeroSince = null;
        if (seconds !== null) mute = false;
      } else {
        if (zeroSince === null || gap > LONGEST_GAP_MS) zeroSince = at;
        if (at - zeroSince >= MUTE_AFTER_MS) mute = true;
      }
      return mute ? null : seconds;
    },
  };
}
