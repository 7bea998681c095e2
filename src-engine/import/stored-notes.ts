import { nodeName } from "./model-bytes.ts";
import { printable } from "../printable.ts";
import type { StoredRow } from "./parameters.ts";
import type { StoredFile } from "./stored-file.ts";

const MOST_NAMED = 4;

/** What a person should know about how a file's tensors were taken. `rows`: those that are used. */
export function storedNotes(file: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  const kinds = [merged(file, rows), alike(file, rows), copies(rows), folded(file, rows)];
  return [...kinds.flatMap(shortened), ...lost(file, rows)];
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

/** Where the file says nothing of parameters: layers that were copied, or one that is shared on purpose. */
function alike({ ownership, names }: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  if (ownership.signature !== null) return [];
  return names.flatMap((name) => {
    const isOne = rows.get(name)?.trains === true && ownership.ownersOf(name).size <= 1;
    const readers = isOne ? ownership.alikeReadersOf(name) : [];
    return readers.length === 0
      ? []
      : `"${printable(name)}" is read by ${readers.length} layers that are alike (${listed(readers.map(nodeName))}), and trains as one. If each had its own that was equal when the model was exported, as copied layers are before training, export it from PyTorch with dynamo=True: such files tell them apart.`;
  });
}

/** A recurrent layer's operator reads matrices that were put together, with nothing computed. */
const PUT_TOGETHER: ReadonlySet<string> = new Set(["LSTM", "GRU", "RNN"]);

/** What has no inverse in the file: normed weights, sums of an adapter and its base. */
function folded({ ownership }: StoredFile, rows: ReadonlyMap<string, StoredRow>): string[] {
  const users = Map.groupBy(
    [...rows.values()]
      .filter(({ trains, copy }) => trains && copy === null)
      .flatMap(({ name }) => ownership.parametersIn(name).map((parameter) => ({ name, parameter }))),
    ({ parameter }) => parameter,
  );
  return [...rows.values()].flatMap(({ name, trains, copy, why }) => {
    const parameters = ownership.parametersIn(name);
    const others = parameters.flatMap((parameter) => users.get(parameter) ?? []).map((each) => each.name);
    const beside = [...new Set(others)].filter((each) => each !== name);
    const isPutTogether = ownership.readersOf(name).every(({ opType }) => PUT_TOGETHER.has(opType));
    if (!trains || copy !== null || why !== "folded-parameter" || isPutTogether) return [];
    if (parameters.length < 2 && beside.length === 0) return [];
    return `"${printable(name)}" was computed from ${listed(parameters)} when the model was exported, and trains as it is stored${beside.length === 0 ? "" : `, apart from ${listed(beside)} of the same origin`}: not as the model itself would.`;
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
