// @ts-check
/** What the canvases share. */

/**
 * A function that draws with the next picture of the screen, however often it is called before that.
 * @param {() => void} draw
 */
export function onNextPicture(draw) {
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
