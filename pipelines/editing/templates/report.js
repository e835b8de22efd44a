"use strict";
// One playhead a pattern; only one video plays at a time.
for (const pattern of document.querySelectorAll(".pattern")) {
  const duration = Number(pattern.dataset.duration);
  const video = pattern.querySelector("video");
  const still = pattern.querySelector(".screen img"); // in place of a video that was not rendered
  const scroller = pattern.querySelector(".window");
  const tracks = pattern.querySelector(".tracks");
  const playhead = pattern.querySelector(".playhead");
  const readout = pattern.querySelector(".readout");
  const words = pattern.querySelector(".words");
  const shots = [...pattern.querySelectorAll(".segments button")];
  const phrases = [...pattern.querySelectorAll(".phrases span")];
  const hint = readout.textContent;
  const span = (element) => [Number(element.dataset.start), Number(element.dataset.end)];
  const at = (list, time) => list.find((e) => span(e)[0] <= time && time < span(e)[1]);
  let now = 0;
  let before = 0; // where the film stood before the pointer began to look around
  let chosen = null;
  let zoom = 1;

  const show = (time) => {
    now = Math.min(Math.max(time, 0), duration);
    playhead.style.left = `${(100 * now) / duration}%`;
    const shot = at(shots, now);
    for (const other of shots) other.classList.toggle("now", other === shot);
    const picture = shot?.querySelector("img");
    if (still && picture && still.src !== picture.src) still.src = picture.src;
    words.textContent = at(phrases, now)?.textContent ?? "";
  };
  const keepInView = () => {
    const x = (now / duration) * tracks.offsetWidth;
    if (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth * 0.95) {
      scroller.scrollLeft = x - scroller.clientWidth * 0.1;
    }
  };
  const seek = (time) => {
    // A hair into the frame: its very start may still show the one before.
    if (video) video.currentTime = Math.min(time + 0.004, duration);
    show(time);
  };
  const describe = (shot) => {
    readout.textContent = shot ? shot.getAttribute("aria-label") : hint;
  };
  const timeOf = (event) => {
    const box = tracks.getBoundingClientRect();
    return (duration * (event.clientX - box.left)) / box.width;
  };

  if (video) {
    const follow = () => {
      show(video.currentTime);
      keepInView();
      if (!video.paused) requestAnimationFrame(follow);
    };
    video.addEventListener("play", () => {
      for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
      follow();
    });
    for (const name of ["seeked", "timeupdate"]) video.addEventListener(name, () => show(video.currentTime));
  }

  tracks.addEventListener("pointerenter", () => { before = now; });
  tracks.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const shot = event.target.closest(".segments button");
    describe(shot ?? at(shots, timeOf(event)));
    if (!video || video.paused) {
      const time = shot ? (span(shot)[0] + span(shot)[1]) / 2 : timeOf(event);
      if (!shot || at(shots, now) !== shot) seek(time);
    }
  });
  tracks.addEventListener("pointerleave", () => {
    describe(chosen);
    if (!video || video.paused) seek(before);
  });
  tracks.addEventListener("click", (event) => {
    const shot = event.target.closest(".segments button");
    seek(shot ? span(shot)[0] : timeOf(event));
    before = now;
    if (shot) focus(shot);
  });

  const focus = (shot) => {
    chosen = shot;
    for (const other of shots) other.tabIndex = other === shot ? 0 : -1;
    shot.focus({ preventScroll: true });
    describe(shot);
    keepInView();
  };
  tracks.addEventListener("keydown", (event) => {
    const index = shots.indexOf(event.target);
    if (index < 0) return;
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: shots.length - 1 }[event.key];
    if (to !== undefined && shots[to]) {
      seek(span(shots[to])[0]);
      before = now;
      focus(shots[to]);
    } else if (event.key === " " && video) {
      if (video.paused) video.play();
      else video.pause();
    } else return;
    event.preventDefault();
  });
  for (const shot of shots) shot.addEventListener("focus", () => describe(shot));

  for (const button of pattern.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      zoom = Math.min(8, Math.max(1, zoom * (button.dataset.zoom === "in" ? 1.6 : 1 / 1.6)));
      tracks.style.setProperty("--zoom", zoom);
      keepInView();
    });
  }
  show(0);
}
