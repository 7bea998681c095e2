/** The page's own address. A host of its own keeps every path inside one origin. */
export const SCHEME = "app";
const HOST = "train-at-home";
export const PAGE = `${SCHEME}://${HOST}/index.html`;

/**
 * SECURITY: the address is parsed, never searched: `https://x/?next=app://train-at-home` contains
 * our origin and is not it. (`URL.origin` is "null" for schemes that are not the web's own.)
 */
export function isOurs(address: string): boolean {
  const url = URL.parse(address);
  return (
    url !== null &&
    url.protocol === `${SCHEME}:` &&
    url.host === HOST &&
    url.username === "" &&
    url.password === ""
  );
}

/** An address that may be handed to the system's browser, or null: https, and no name or password in it. */
export function externalAddress(address: string): string | null {
  const url = URL.parse(address);
  if (url === null || url.protocol !== "https:" || url.username !== "" || url.password !== "") return null;
  return url.href;
}
