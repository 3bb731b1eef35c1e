// A waveform to see a recording by, and to play it from: drawn from what the browser decodes. What it cannot decode, and
// what is too large for that, keeps the browser's own player.
(() => {
  'use strict';
  const LARGEST = 8_000_000, RATE = 8000, BAR = 3, FINE = 4000, SPEEDS = [1, 1.25, 1.5, 2];
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const clock = (seconds) => {
    const whole = Math.floor(seconds || 0), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return `${hours ? `${hours}:${String(minutes).padStart(2, '0')}` : minutes}:${String(whole % 60).padStart(2, '0')}`;
  };
  const loudness = async (url) => {
    const answer = await fetch(url, { redirect: 'error' });
    if (!answer.ok) throw new Error(answer.statusText);
    // An offline context needs no click of a person, and brings the sound down to a rate that is enough to look at.
    return new OfflineAudioContext(1, 1, RATE).decodeAudioData(await answer.arrayBuffer());
  };
  const barsOf = (samples, count) => {
    const step = samples.length / count, bars = [];
    for (let bar = 0; bar < count; bar += 1) {
      let most = 0;
      for (let place = Math.floor(bar * step); place < (bar + 1) * step; place += 1) most = Math.max(most, Math.abs(samples[place] ?? 0));
      bars.push(most);
    }
    const loudest = Math.max(...bars) || 1;
    return bars.map((most) => most / loudest);
  };

  const open = (audio, wave, sound) => {
    const line = wave.querySelector('.wave-line'), canvas = wave.querySelector('canvas'), time = wave.querySelector('.wave-time');
    const play = wave.querySelector('[data-wave-play]'), speed = wave.querySelector('[data-wave-speed]');
    const fine = barsOf(sound.getChannelData(0), FINE), { duration } = sound;   // the samples themselves can go
    const length = () => (Number.isFinite(audio.duration) && audio.duration) || duration;
    let bars = [], told;
    const draw = () => {
      const { clientWidth: width, clientHeight: height } = line, scale = devicePixelRatio || 1;
      if (!width) return;
      const count = Math.max(1, Math.floor(width / BAR));
      if (bars.length !== count) bars = barsOf(fine, count);
      [canvas.width, canvas.height] = [width * scale, height * scale];
      const pen = canvas.getContext('2d'), colours = getComputedStyle(line), here = audio.currentTime / length() * count;
      pen.scale(scale, scale);
      bars.forEach((bar, place) => {
        const tall = Math.max(2, bar * (height - 4));
        pen.fillStyle = place < here ? colours.color : colours.borderTopColor;
        pen.fillRect(place * BAR, (height - tall) / 2, BAR - 1, tall);
      });
    };
    const tell = () => {
      const now = clock(audio.currentTime);
      if (now !== told) {
        told = now;
        time.textContent = `${now} / ${clock(length())}`;
        line.setAttribute('aria-valuenow', Math.floor(audio.currentTime));
        line.setAttribute('aria-valuemax', Math.floor(length()));
        line.setAttribute('aria-valuetext', `${now} of ${clock(length())}`);
      }
      draw();
    };
    const follow = () => { tell(); if (!audio.paused && !calm.matches) requestAnimationFrame(follow); };
    const go = (seconds) => { audio.currentTime = Math.min(Math.max(seconds, 0), length()); tell(); };
    const toggle = () => (audio.paused ? audio.play().catch(() => {}) : audio.pause());
    const show = () => {
      wave.toggleAttribute('data-plays', !audio.paused);
      play.title = audio.paused ? 'Play' : 'Pause';
      play.setAttribute('aria-label', play.title);
      follow();
    };
    const seek = ({ clientX }) => { const { left, width } = line.getBoundingClientRect(); go((clientX - left) / width * length()); };
    play.addEventListener('click', toggle);
    speed.addEventListener('click', () => {
      audio.playbackRate = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + 1) % SPEEDS.length];
      speed.textContent = `${audio.playbackRate}×`;
      speed.setAttribute('aria-label', `Speed ${audio.playbackRate}×`);
    });
    line.addEventListener('pointerdown', (event) => { if (event.button === 0) { line.setPointerCapture(event.pointerId); seek(event); } });
    line.addEventListener('pointermove', (event) => { if (line.hasPointerCapture(event.pointerId)) seek(event); });
    line.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = Math.max(1, length() / 20), at = audio.currentTime;
      const to = { ArrowRight: at + step, ArrowUp: at + step, ArrowLeft: at - step, ArrowDown: at - step, PageUp: at + 4 * step, PageDown: at - 4 * step, Home: 0, End: length() }[event.key];
      if (event.key === ' ' || event.key === 'Enter') toggle(); else if (to !== undefined) go(to); else return;
      event.preventDefault();
    });
    ['play', 'pause', 'ended'].forEach((type) => audio.addEventListener(type, show));
    ['timeupdate', 'seeked', 'durationchange'].forEach((type) => audio.addEventListener(type, tell));
    new ResizeObserver(tell).observe(line);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ['class'] });   // the theme
    audio.controls = false;
    wave.hidden = false;
    show();
  };

  const near = new IntersectionObserver((seen) => seen.forEach(({ isIntersecting, target }) => {
    if (!isIntersecting) return;
    near.unobserve(target);
    const wave = target.parentElement.querySelector('.wave');
    loudness(target.currentSrc || target.src).then((sound) => open(target, wave, sound), () => {});
  }), { rootMargin: '200px 0px' });
  const met = new WeakSet();                                                  // once each: some are still being fetched
  const wake = (root) => root.querySelectorAll('.sound audio[data-bytes]').forEach((audio) => {
    if (Number(audio.dataset.bytes) > LARGEST || met.has(audio)) return;
    met.add(audio);
    near.observe(audio);
  });
  new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => { if (node.nodeType === 1) wake(node.parentElement ?? node); })))
    .observe(document.body, { childList: true, subtree: true });
  wake(document);
})();
