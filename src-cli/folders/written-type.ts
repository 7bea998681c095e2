/** How a trained folder's numbers are written: as they are stored in the one before it, or as they were trained. */
export const WRITTEN_TYPES = ["kept", "float32"] as const;
export type WrittenType = (typeof WRITTEN_TYPES)[number];
