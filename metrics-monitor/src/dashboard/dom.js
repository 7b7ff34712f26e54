// Creates and changes elements. Text is never parsed as markup.

export const byId = (id) => document.getElementById(id);

// Controls, marks that reorder text, separators of lines, and characters that are not shown; without the joiners that
// words of some languages and composed emoji need.
const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** A text with hidden characters escaped. The server escapes them, too; reports of older instances may have some. */
export const visible = (text) =>
  String(text ?? "").replace(UNPRINTABLE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** Creates an element with these attributes and children; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : visible(value));
  }
  element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

/** Sets an element's text if it differs. */
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/**
 * Makes `parent` hold one element for each item, in order. Elements are reused by key, so that focus and scroll
 * position stay; `fill` writes an item into its element. Among items with the same key, only the first is shown.
 */
export function keyed(parent, items, key, create, fill) {
  const old = new Map();
  for (const element of [...parent.children]) {
    // One element for each key: remove duplicates that other code added.
    if (old.has(element.dataset.key)) element.remove();
    else old.set(element.dataset.key, element);
  }
  const shown = new Set();
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    // A second item with the same key would take the element of the first one.
    if (shown.has(name)) continue;
    shown.add(name);
    let element = old.get(name);
    old.delete(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    fill(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of old.values()) element.remove();
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}
