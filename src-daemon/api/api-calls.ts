import { Failure, failureBody } from "../../src-protocol/failure.ts";
import type { FailureBody } from "../../src-protocol/failure.ts";
import { METHODS, apiRequest } from "../../src-protocol/methods.ts";
import type { MethodName, Methods, MethodResult } from "../../src-protocol/methods.ts";
import type { z } from "zod";
import type { ApiCaller } from "./api-tokens.ts";

/** What the daemon does for each method of the table; parameters are checked before they arrive. */
export type Handlers = {
  readonly [Name in MethodName]: (
    params: z.output<Methods[Name]["params"]>,
    caller: ApiCaller,
  ) => MethodResult<Name> | Promise<MethodResult<Name>>;
};

export type CallOutcome =
  | { readonly type: "result"; readonly id: number; readonly result: unknown }
  | { readonly type: "error"; readonly id: number; readonly error: FailureBody };

/** A call that could be read: its number, and what to do. Null: it has no number to answer to. */
export interface Call {
  readonly id: number;
  readonly method: MethodName | null;
  run(handlers: Handlers, caller: ApiCaller): Promise<CallOutcome>;
}

/** SECURITY: only the table's own keys are methods; whatever else is asked for gets an error. */
export function readCall(text: string): Call | null {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return null;
  }
  const request = apiRequest.safeParse(message);
  if (!request.success) {
    const id = idOf(message);
    if (id === null) return null;
    const error = new Failure("bad-request", "There is no such method, or the call is not well formed.");
    return { id, method: null, run: () => Promise.resolve({ type: "error", id, error: error.body() }) };
  }
  const { id, method, params } = request.data;
  return { id, method, run: (handlers, caller) => answer(id, method, params ?? {}, handlers, caller) };
}

async function answer<Name extends MethodName>(
  id: number,
  method: Name,
  params: unknown,
  handlers: Handlers,
  caller: ApiCaller,
): Promise<CallOutcome> {
  try {
    const parsed = METHODS[method].params.safeParse(params);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const where = issue === undefined || issue.path.length === 0 ? "" : ` ${issue.path.join(".")}:`;
      throw new Failure(
        "bad-parameters",
        `${method} was called with wrong parameters:${where} ${issue?.message}.`,
      );
    }
    const handler = handlers[method] as (params: unknown, caller: ApiCaller) => unknown;
    return { type: "result", id, result: await handler(parsed.data, caller) };
  } catch (error) {
    return { type: "error", id, error: failureBody(error) };
  }
}

function idOf(message: unknown): number | null {
  if (typeof message !== "object" || message === null || !("id" in message)) return null;
  const { id } = message;
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 0 ? id : null;
}
