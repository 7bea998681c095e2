import { Failure } from "../../src-protocol/failure.ts";

/** What the operating system said about a file, as a sentence for the owner of the computer. */
export function diskFailure(error: unknown, path: string): Failure {
  if (error instanceof Failure) return error;
  const cause = error instanceof Error && "code" in error ? error.code : null;
  switch (cause) {
    case "ENOSPC":
    case "EDQUOT":
      return new Failure(
        "disk-full",
        `The disk is full: ${path} could not be written. Work cannot be kept, so it stops here; nothing stored is lost. Free some space, then it goes on.`,
        { cause: error },
      );
    case "EROFS":
    case "EACCES":
    case "EPERM":
      return new Failure(
        "disk-read-only",
        `${path} may not be written. Work cannot be kept, so it stops here; nothing stored is lost. Give the folder back its write permission.`,
        { cause: error },
      );
    default:
      return new Failure("disk-failed", `${path} could not be used: ${String(error)}. Check the disk.`, {
        cause: error,
      });
  }
}
