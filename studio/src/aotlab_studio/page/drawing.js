// @ts-check
/** Drawing once per screen refresh. */

/**
 * Return a function that draws once at the next screen refresh, however often it is called until then.
 * @param {() => void} draw
 */
export function onNextPaint(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
