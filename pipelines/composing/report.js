// One candidate sounds at a time. Keys 1 to 9 play and pause it, and go on from where another one was: so two
// candidates are compared at the same bar.
"use strict";
const players = [...document.querySelectorAll("audio")];
let last = null;
for (const player of players) {
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
    last = player;
    player.closest("article").classList.add("playing");
  });
  player.addEventListener("pause", () => player.closest("article").classList.remove("playing"));
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !/^[1-9]$/.test(event.key)) return;
  const article = document.getElementById("candidate-" + event.key);
  const player = article && article.querySelector("audio");
  if (!player) return;
  event.preventDefault();
  if (!player.paused) return player.pause();
  if (last && last !== player && !last.ended && last.currentTime > 0) player.currentTime = last.currentTime;
  player.play().catch(() => {});
});
