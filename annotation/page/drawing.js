// @ts-check
/** What the canvases share. */

/**
 * A function that draws with the next image of the screen, however often it is called before that.
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
