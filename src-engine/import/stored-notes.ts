import { printable } from "./model-bytes.ts";
import type { StoredRow } from "./parameters.ts";
import type { StoredFile } from "./stored-file.ts";

const MOST_NAMED = 4;

/** What a person should know about how a file's tensors were taken. `rows`: those that are used. */
export function storedNotes(file: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  return [...shortened(merged(file, rows)), ...shortened(copies(rows)), ...lost(file, rows)];
}

function merged({ ownership, names }: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  return names.flatMap((name) => {
    if (ownership.readersOf(name).length < 2) return [];
    const owners = [...ownership.ownersOf(name)].filter((each) => rows.get(each)?.trains === true);
    if (owners.length < 2) return [];
    return ownership.signature === null
      ? `The vector "${printable(name)}" holds one number only and is read by several nodes: each of them trains its own.`
      : `"${printable(name)}" holds ${owners.length} parameters that were equal when the model was exported: ${listed(owners)}. Each trains its own.`;
  });
}

function copies(rows: ReadonlyMap<string, StoredRow>): string[] {
  return [...rows.values()].flatMap(({ name, copy }) =>
    copy === null
      ? []
      : `"${printable(name)}" is "${printable(copy.of)}" once more${copy.form === "same" ? "" : `, ${copy.form}`}: they train as one parameter.`,
  );
}

/** Parameters that the file lists and that no tensor is named for. */
function lost({ ownership, names }: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  const { signature } = ownership;
  if (signature === null) return [];
  const met = new Set([...names, ...rows.keys(), ...names.flatMap((name) => ownership.parametersIn(name))]);
  const missing = [...signature.kinds].flatMap(([name, kind]) =>
    kind === "PARAMETER" && !met.has(name) ? [name] : [],
  );
  if (missing.length === 0) return [];
  return [
    `Of the parameters that the file lists, no tensor is named for ${listed(missing)}. ` +
      "The exporter merged them with equal ones, tied them to another one, or left them out because they were 0: what was left out does not train.",
  ];
}

function listed(names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  return names.slice(0, MOST_NAMED).map(printable).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** A note each would bury the others. */
function shortened(notes: readonly string[]): string[] {
  const more = notes.length - MOST_NAMED;
  return more <= 0 ? [...notes] : [...notes.slice(0, MOST_NAMED), `… and the same for ${more} more tensors.`];
}
