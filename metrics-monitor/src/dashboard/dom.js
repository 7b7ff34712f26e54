// Elements, made and changed without ever reading text as markup.

export const byId = (id) => document.getElementById(id);

/** An element with these attributes and children; strings among them become text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Sets an element's text, if it is another one. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes `parent` hold one element for each item, in their order. Elements are kept by key, so that focus and scrolling
 * stay where they are; `fill` writes an item into its element. Of items with the same key the first is shown.
 */
export function keyed(parent, items, key, create, fill) {
  const old = new Map();
  for (const element of [...parent.children]) {
    // One of each: what something else put there is no reason to keep two.
    if (old.has(element.dataset.key)) element.remove();
    else old.set(element.dataset.key, element);
  }
  const shown = new Set();
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    // The second of two items with one key would take the first one's element away again.
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
