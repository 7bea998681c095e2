import { useEffect, useRef } from "react";

/** What appears in answer to a button takes the reader's place along. */
export function useFocusOnMount<Kind extends HTMLElement>() {
  const element = useRef<Kind>(null);
  useEffect(() => element.current?.focus(), []);
  return element;
}
