import { z } from "zod";

/** A parameter's gradient is no number: the same step would fail for ever, so a training of one's own ends. */
export const GRADIENT_NOT_FINITE = "gradient-not-finite";
/** The same of what a stage sends to the next one. */
export const TENSOR_NOT_FINITE = "tensor-not-finite";

/** An error that may cross a border: a stable code and a sentence for a person. */
export const failureSchema = z.object({
  code: z.string().regex(/^[a-z][a-z0-9-]*$/),
  message: z.string().max(2000),
});
export type FailureBody = z.infer<typeof failureSchema>;

/**
 * The one error class of the product. `code` is stable and documented, `message` says what
 * happened, what it means and what to do next. Bad input never becomes anything else.
 */
export class Failure extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Failure";
    this.code = code;
  }

  body(): FailureBody {
    return { code: this.code, message: this.message };
  }
}

/** Turns anything thrown into a body that is safe to show: never a stack trace. */
export function failureBody(error: unknown): FailureBody {
  if (error instanceof Failure) return error.body();
  const message = error instanceof Error ? error.message : String(error);
  return { code: "internal", message };
}
