// Creates and changes elements. Text is never parsed as markup.

export const byId = (id) => document.getElementById(id);

/** Creates an element with these attributes and children; strings become text nodes. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Sets an element's text if it differs. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
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
