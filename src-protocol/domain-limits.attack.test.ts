import { expect, test } from "vitest";
import { z } from "zod";
import { nodeMessage } from "./control.ts";
import { relayGreeting } from "./link-services.ts";
import { peerMessage } from "./peer.ts";

/** Counted in whole numbers that are added up as such, never looped over. */
const WITHOUT_END = new Set(["flops"]);

type Found = readonly [path: string, maximum: unknown];

/** Every number in a JSON schema, by the names that lead to it. */
function numbers(schema: unknown, path: string): Found[] {
  if (typeof schema !== "object" || schema === null) return [];
  if (Array.isArray(schema)) return schema.flatMap((each) => numbers(each, path));
  const { type, maximum, ...rest } = schema as { type?: unknown; maximum?: unknown };
  const isNumber = (type === "integer" || type === "number") && !("const" in rest);
  const own: Found[] = isNumber ? [[path, maximum]] : [];
  return own.concat(
    Object.entries(rest).flatMap(([name, value]) =>
      numbers(value, /^(properties|items|anyOf|oneOf|prefixItems)$/.test(name) ? path : `${path}.${name}`),
    ),
  );
}

test.each([
  ["a node's message", nodeMessage],
  ["a peer's message", peerMessage],
  ["a greeting at the relay", relayGreeting],
])("F2: every number in %s has an end that is no whole number's own", (_, schema) => {
  const found = numbers(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }), "");
  const endless = found.filter(
    ([path, maximum]) =>
      !WITHOUT_END.has(path.replace(/^.*\./, "")) &&
      !(typeof maximum === "number" && (maximum < Number.MAX_SAFE_INTEGER || path.endsWith(".loss"))),
  );
  expect(endless.map(([path]) => path)).toEqual([]);
});
