// The pictures of the live page, and what only the browser knows: which cameras can be seen, dark or light, the time zone.

const AGAIN = 1000; // ms until a lost connection is tried again
const decoder = new TextDecoder();
const inView = new Set(); // the <img data-camera> that can be seen
let socket = null;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) isIntersecting ? inView.add(target) : inView.delete(target);
  ask();
});

function ask() {
  if (document.hidden || !inView.size) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch: [] }));
    return;
  }
  if (!socket) return connect();
  if (socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ watch: [...inView].map((image) => image.dataset.camera) }));
  }
}

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/pictures`);
  socket.binaryType = "arraybuffer";
  socket.onopen = ask;
  socket.onmessage = ({ data }) => show(data);
  socket.onclose = () => {
    socket = null;
    setTimeout(ask, AGAIN);
  };
}

function show(message) {
  // one byte: how long the camera's name is; the name; the JPEG
  const length = new Uint8Array(message, 0, 1)[0];
  const camera = decoder.decode(new Uint8Array(message, 1, length));
  const shown = () => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ shown: camera }));
  const image = [...inView].find((one) => one.dataset.camera === camera);
  if (!image) return shown();
  const url = URL.createObjectURL(new Blob([new Uint8Array(message, 1 + length)], { type: "image/jpeg" }));
  image.onload = image.onerror = () => {
    URL.revokeObjectURL(url);
    if (image.naturalWidth) image.parentElement.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    shown();
  };
  image.src = url;
}

new MutationObserver(() => {
  for (const image of document.querySelectorAll("img[data-camera]:not([data-observed])")) {
    image.dataset.observed = "";
    observer.observe(image);
  }
  for (const image of inView) {
    if (image.isConnected) continue;
    observer.unobserve(image);
    inView.delete(image);
  }
}).observe(document.documentElement, { childList: true, subtree: true });

function tell() {
  emitEvent("viewer", {
    dark: document.body.classList.contains("body--dark"),
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    hidden: document.hidden,
  });
}

document.addEventListener("visibilitychange", () => {
  ask();
  tell();
});

export function begin() {
  const chosen = localStorage.getItem("affectstream-dark");
  if (chosen !== null) Quasar.Dark.set(chosen === "true");
  new MutationObserver(tell).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  tell();
}

export function toggleDark() {
  const dark = !document.body.classList.contains("body--dark");
  localStorage.setItem("affectstream-dark", dark);
  Quasar.Dark.set(dark);
}
