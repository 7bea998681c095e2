import { z } from "zod";

// SECURITY: the page's policy forbids `eval`. zod must not even try it, so this module is imported
// before any schema is made.
z.config({ jitless: true });
