import { z } from "zod";

/** JSON as it stands in a state tree. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Sets the value at `path`; without `value` the member is removed. Lists are replaced whole. */
export const patchOperation = z.strictObject({ path: z.array(z.string()), value: z.json().optional() });
export type PatchOperation = z.infer<typeof patchOperation>;

/** The smallest operations that turn `before` into `after`, objects compared member by member. */
export function diff(before: Json, after: Json, path: readonly string[] = []): PatchOperation[] {
  if (before === after) return [];
  if (!isObject(before) || !isObject(after)) {
    return JSON.stringify(before) === JSON.stringify(after)
      ? []
      : [{ path: [...path], value: mutable(after) }];
  }
  const operations: PatchOperation[] = [];
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ path: [...path, key] });
  }
  for (const [key, value] of Object.entries(after)) {
    const old = member(before, key);
    if (old === undefined) operations.push({ path: [...path, key], value: mutable(value) });
    else operations.push(...diff(old, value, [...path, key]));
  }
  return operations;
}

/** A new tree with the operations applied; what did not change is shared with the old one. */
export function applyPatch(tree: Json, operations: readonly PatchOperation[]): Json {
  return operations.reduce<Json>((state, { path, value }) => setAt(state, path, value), tree);
}

function setAt(node: Json, path: readonly string[], value: Json | undefined): Json {
  const [key, ...rest] = path;
  if (key === undefined) return value ?? null;
  const object = isObject(node) ? node : {};
  if (rest.length === 0 && value === undefined) {
    return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
  }
  return { ...object, [key]: setAt(member(object, key) ?? {}, rest, value) };
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Own members only: a path must not reach `valueOf` or a prototype. */
function member(object: { readonly [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function mutable(value: Json): z.infer<ReturnType<typeof z.json>> {
  return structuredClone(value) as z.infer<ReturnType<typeof z.json>>;
}
