import { useSyncExternalStore } from "react";

export const SCREENS = [
  "home",
  "schedule",
  "earnings",
  "model",
  "network",
  "wallet",
  "activity",
  "settings",
] as const;
/** Beside the screens that the rail leads to: a page that others lead to. */
const PAGES = [...SCREENS, "glossary"] as const;
export type Screen = (typeof PAGES)[number];

/** The screen that the address names: `#schedule`, or `#activity/money` with what is shown there. Anything else is Home. */
export function screenOf(hash: string): Screen {
  const [name] = hash.split("/");
  return PAGES.find((screen) => name === `#${screen}`) ?? "home";
}

export function useScreen(): Screen {
  return useSyncExternalStore(
    (listener) => {
      window.addEventListener("hashchange", listener);
      return () => window.removeEventListener("hashchange", listener);
    },
    () => screenOf(window.location.hash),
  );
}
