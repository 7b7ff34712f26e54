// The texts of the page in the chosen language.

import { english } from "./english.js";
import { korean } from "./korean.js";

export const languages = { en: english, ko: korean };

export let language = "en";

export function setLanguage(wanted) {
  language = Object.hasOwn(languages, wanted) ? wanted : "en";
}

/** Returns the text of this name in the page's language; `undefined` if there is none. */
export function say(name, ...values) {
  const words = languages[language];
  const text = Object.hasOwn(words, name) ? words[name] : undefined;
  return typeof text === "function" ? text(...values) : text;
}
