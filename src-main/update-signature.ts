import { verify } from "node:crypto";
import { z } from "zod";

/** Of `latest*.yml`, as electron-builder writes it and `npm run sign-updates` signs it. */
export const updateInfo = z.object({
  version: z.string().regex(/^\d+\.\d+\.\d+(-[\w.]+)?$/),
  files: z
    .array(
      z.object({
        url: z.string().min(1).max(400),
        sha512: z.string().regex(/^[A-Za-z0-9+/]{86}==$/),
        size: z.number().int().positive().optional(),
      }),
    )
    .min(1)
    .max(20),
  tahSignature: z.string().max(200).optional(),
  /** What a web installer would load besides: not signed, so not taken. */
  packages: z.never().optional(),
});
export type UpdateInfo = z.infer<typeof updateInfo>;

/**
 * What is signed: the version, and every file's name and digest. Not the share of computers that get
 * it (`stagingPercentage`), which is raised while a release is out.
 */
export function signedText({ version, files }: Pick<UpdateInfo, "version" | "files">): string {
  const lines = files.map(({ url, sha512 }) => `${url} ${sha512}`).sort();
  return ["Train at Home update v1", version, ...lines, ""].join("\n");
}

export type Verdict =
  | { readonly kind: "good"; readonly version: string }
  | { readonly kind: "refused"; readonly why: string };

/** SECURITY: whoever holds the server alone can offer nothing: the file's digest is under a key that is not there. */
export function checkUpdate(info: unknown, publicKeyPem: string): Verdict {
  const parsed = updateInfo.safeParse(info);
  if (!parsed.success) return refused("what the server says of it makes no sense");
  const { tahSignature, version } = parsed.data;
  if (tahSignature === undefined) return refused("it is not signed");
  const signature = Buffer.from(tahSignature, "base64");
  try {
    if (verify(null, Buffer.from(signedText(parsed.data)), publicKeyPem, signature))
      return { kind: "good", version };
  } catch {
    return refused("the key to check it with cannot be read");
  }
  return refused("its signature is not by the key that this app was made with");
}

function refused(why: string): Verdict {
  return { kind: "refused", why: `An update is offered, and it is not taken: ${why}.` };
}
