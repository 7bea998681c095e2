import { DiskUse } from "../data-folder/disk-use.ts";
import { PolicyKeeper } from "../policy/policy-keeper.ts";
import { SystemZone } from "../policy/system-zone.ts";
import type { CleanUp } from "./clean-up.ts";
import type { Ground } from "./ground.ts";

/** When it runs, and what of its own it needs to decide that. */
export interface Deciding {
  readonly policy: PolicyKeeper;
  readonly disk: DiskUse;
}

/** `monthBytes`: sent and received since the month began; the history that counts it begins after the policy. */
export function startDeciding(
  { home, setUp }: Ground,
  monthBytes: (zone: string, at: number) => number | null,
  cleanUp: CleanUp,
): Deciding {
  const zone = new SystemZone();
  cleanUp.add(() => zone.close());
  const disk: DiskUse = new DiskUse(home.path, {
    wanted: () => policy.rules.diskMegabytes !== null,
    changed: () => policy.look(),
  });
  cleanUp.add(() => disk.stop());
  const policy: PolicyKeeper = new PolicyKeeper({
    folder: home.path,
    zone: () => zone.name,
    begun: setUp.isDone,
    monthBytes,
    folderBytes: () => disk.bytes,
  });
  cleanUp.add(() => policy.close());
  zone.onChange(() => policy.look());
  policy.onDecision(() => disk.look());
  disk.look();
  return { policy, disk };
}
