/** Name of the user. */

import { element } from './dom.js';

const NAME_COOKIE = 'aotlab_person';

/** Return the user's name; empty: not typed yet. */
export const getPerson = () => element('person').value.trim();

/** Show the user's name in its field, and store it when it changes. @param {() => void} onChange */
export function connectUser(onChange) {
  const field = element('person');
  const stored = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${NAME_COOKIE}=`));
  field.defaultValue = new URLSearchParams(stored).get(NAME_COOKIE) || ''; // decodes any text
  field.onchange = () => {
    field.defaultValue = field.value; // Escape restores it
    document.cookie = `${NAME_COOKIE}=${encodeURIComponent(getPerson())}; path=/; max-age=31536000; SameSite=Strict`;
    field.blur(); // the next key is a shortcut again
    onChange();
  };
}
