import type { Effect } from "./network-state.ts";

/**
 * Who is near is said once to each, as it is in the end: links that are wanted again a moment later would be ended
 * and dialled anew. It is said where it was first, so that it is known when work comes, but not before the stage is
 * given: whoever gets another one forgets who was near before.
 */
export function toldOnce(effects: readonly Effect[]): readonly Effect[] {
  const last = new Map<string, Effect>();
  const places = new Map<string, number>();
  for (const [at, effect] of effects.entries()) {
    const about = membersToldIn(effect);
    if (about === null) continue;
    last.set(about, effect);
    const first = places.get(about) ?? -1;
    if (first < 0 || first < givenAt(effects, effect, at)) places.set(about, at);
  }
  return effects.flatMap((effect, at) => {
    const about = membersToldIn(effect);
    if (about === null) return [effect];
    return places.get(about) === at ? (last.get(about) ?? []) : [];
  });
}

/** Where before `at` the one who is told was given a stage last; -1: nowhere. */
function givenAt(effects: readonly Effect[], told: Effect, at: number): number {
  return effects.findLastIndex(
    (effect, i) =>
      i < at &&
      effect.type === "send" &&
      told.type === "send" &&
      effect.to === told.to &&
      effect.message.type === "assign",
  );
}

/** To whom, and of which pipeline; null: it is something else. */
function membersToldIn(effect: Effect): string | null {
  return effect.type === "send" && effect.message.type === "members"
    ? `${effect.to} ${effect.message.generation}`
    : null;
}
