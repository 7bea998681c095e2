/**
 * Key files under a password, in the forms that Bittensor's wallets have had: NaCl (now), Ansible's
 * vault and Fernet (before).
 */
export type LockedForm = "nacl" | "ansible" | "fernet";

export const NACL_MARK = "$NACL";
const MARKS: readonly (readonly [string, LockedForm])[] = [
  [NACL_MARK, "nacl"],
  ["$ANSIBLE_VAULT", "ansible"],
  ["gAAAAA", "fernet"],
];

/** What a file is locked with; null: it stands open. */
export function lockedForm(bytes: Uint8Array): LockedForm | null {
  const start = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  return MARKS.find(([mark]) => start.startsWith(mark))?.[1] ?? null;
}
