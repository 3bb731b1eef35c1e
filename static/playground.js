// The playground's own comfort: files for the next prompt, pictures one after the other, transcripts that play.
(() => {
  'use strict';
  const on = (type, selector, act) => document.addEventListener(type, (event) => {
    const found = event.target.closest?.(selector);
    if (found) act(found, event);
  });
  const announce = (text) => { document.getElementById('announcer').textContent = text; };

  // Files of the next prompt: chosen, dropped or pasted. They are kept here too, so that a form that comes back
  // with a word of complaint still has them.
  let attached = [];
  const composer = () => document.getElementById('composer');
  const chips = () => document.getElementById('attached');
  const icon = (name) => document.querySelector('.composer .icon use').getAttribute('href').replace(/#.*/, `#${name}`);
  const sizeOf = (bytes) => (bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);
  const el = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };
  const symbol = (name) => {
    const [svg, use] = ['svg', 'use'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    use.setAttribute('href', icon(name));
    svg.append(use);
    return svg;
  };
  const chip = (name, size, face, ...more) => el('li', { class: 'file-chip' }, face, el('span', { class: 'file-name', title: name }, name),
    el('small', {}, size), ...more,
    el('button', { type: 'button', class: 'btn', 'data-variant': 'ghost', 'data-size': 'icon-xs', 'data-detach': '', 'aria-label': `Remove ${name}`, title: 'Remove' }, symbol('x')));
  const face = (file) => {                                                    // a thumbnail without an address: the policy allows no blob:
    const place = el('span', { class: 'file-face' }, symbol(file.type.startsWith('audio/') ? 'audio-lines' : file.type.startsWith('video/') ? 'video' : file.type.startsWith('image/') ? 'image' : 'file-text'));
    if (/^image\/(?!svg)/.test(file.type)) {
      createImageBitmap(file, { resizeHeight: 64, resizeQuality: 'medium' }).then((bitmap) => {
        const canvas = el('canvas', { width: bitmap.width, height: bitmap.height });
        canvas.getContext('2d').drawImage(bitmap, 0, 0);
        place.replaceChildren(canvas);
      }, () => {});                                                           // no picture after all; the server says so
    }
    return place;
  };
  const complain = (words) => {
    const place = document.getElementById('files-error');
    place.replaceChildren(...(words ? [symbol('circle-alert'), el('span', {}, words)] : []));
  };
  const showFiles = () => {
    const input = composer()?.querySelector('[data-files]');
    if (!input) return;
    const all = new DataTransfer();
    attached.forEach((file) => all.items.add(file));
    input.files = all.files;
    chips().querySelectorAll('[data-file]').forEach((old) => old.remove());
    attached.forEach((file, place) => {
      const made = chip(file.name, sizeOf(file.size), face(file));
      made.dataset.file = place;
      chips().append(made);
    });
    const area = composer().querySelector('textarea[data-with-files]');
    if (!area) return;
    const has = chips().childElementCount > 0;
    area.required = !has;
    area.dataset.alone ??= area.placeholder;
    area.placeholder = has ? area.dataset.withFiles : area.dataset.alone;
  };
  // They outlive a reload as the draft does: in this browser, for this person and this draft; those of ten drafts, a month.
  const MOST_DRAFTS = 10, LONGEST = 30 * 86400e3;
  const draftOf = () => `${document.body.dataset.person ?? ''}:${composer().querySelector('textarea').dataset.draft}`;
  const shelf = globalThis.draftFiles;
  const references = () => [...chips().querySelectorAll('[data-reference-chip]')].map((one) => ({
    reference: one.querySelector('[name=references]').value, name: one.querySelector('.file-name').textContent,
    sizeWords: one.querySelector('small').textContent, bytes: one.dataset.size, src: one.querySelector('img')?.getAttribute('src'),
  }));
  const keep = () => {
    const kept = { of: draftOf(), files: attached, references: references(), at: Date.now() };
    return shelf((store) => {
      if (!kept.files.length && !kept.references.length) return store.delete(kept.of);
      store.getAll().onsuccess = ({ target }) => target.result.sort((one, other) => other.at - one.at)
        .forEach(({ of, at }, place) => { if (of !== kept.of && (place >= MOST_DRAFTS - 1 || kept.at - at > LONGEST)) store.delete(of); });
      return store.put(kept);
    }).catch(() => { if (kept.files.length) complain('This browser has no room to keep these files: send them before the page is left or loaded again.'); });
  };
  const wake = async () => {
    const kept = await shelf((store) => store.get(draftOf())).catch(() => null);
    if (!kept) return;
    attached = [...kept.files, ...attached];
    kept.references.forEach(refer);
    showFiles();
  };
  const attach = (files) => {
    const { most, largest } = composer().querySelector('[data-files]').dataset;
    const references = [...chips().querySelectorAll('[data-reference-chip]')];
    const size = (list) => list.reduce((sum, file) => sum + file.size, 0) + references.reduce((sum, one) => sum + Number(one.dataset.size), 0);
    complain('');
    for (const file of files) {
      if (!file.size) { complain(`“${file.name}” is empty, or a folder.`); continue; }
      if (Number(most) === 1 && attached.length + references.length === 1) {  // the new one takes the place of the old
        attached = []; references.splice(0).forEach((one) => one.remove());
      }
      if (attached.length + references.length >= Number(most)) { complain(`A prompt takes at most ${most} files.`); break; }
      if (size([...attached, file]) > Number(largest)) { complain(`With “${file.name}” these are more than ${Math.round(largest / 1048576)} MB, the most that a prompt takes.`); continue; }
      attached.push(file);
      announce(`${file.name} attached`);
    }
    showFiles();
    keep();
  };
  on('change', '[data-files]', (input) => { const files = [...input.files]; if (files.length) attach(files); else showFiles(); });
  on('click', '[data-detach]', (button) => {
    const gone = button.closest('.file-chip');
    if (gone.dataset.file) attached.splice(Number(gone.dataset.file), 1);
    gone.remove();
    complain('');
    showFiles();
    keep();
    composer().querySelector('[data-files]').focus();
  });
  const refer = ({ reference, name, sizeWords, bytes, src }) => {
    if (chips().querySelector(`[value="${reference}"]`)) return;
    const made = chip(name, sizeWords, src ? el('img', { src, alt: '' }) : symbol('audio-lines'), el('input', { type: 'hidden', name: 'references', value: reference }));
    made.dataset.referenceChip = '';
    made.dataset.size = bytes;
    chips().append(made);
  };
  on('click', '[data-reference]', (button) => {
    if (!composer()) return;
    const { reference, name } = button.dataset;
    if (chips().querySelector(`[value="${reference}"]`)) return;
    const { most } = composer().querySelector('[data-files]').dataset;
    if (Number(most) === 1) { attached = []; chips().replaceChildren(); }
    else if (chips().childElementCount >= Number(most)) { complain(`A prompt takes at most ${most} files.`); return; }
    refer(button.dataset);
    showFiles();
    keep();
    announce(`${name} attached`);
    button.closest('dialog')?.close();
    composer().querySelector('textarea').focus();
  });
  const carriesFiles = (event) => composer() && [...(event.dataTransfer?.types ?? [])].includes('Files');
  ['dragenter', 'dragover'].forEach((type) => document.addEventListener(type, (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();                                                   // dropped beside it, a file would replace the page
    composer().classList.add('dropping');
  }));
  document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) composer()?.classList.remove('dropping'); });
  document.addEventListener('drop', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    composer().classList.remove('dropping');
    attach(event.dataTransfer.files);
  });
  on('paste', '#composer textarea', (area, event) => {
    const files = [...event.clipboardData.files];
    if (!files.length || event.clipboardData.types.includes('text/plain')) return;   // a table is both: its words are wanted
    event.preventDefault();
    attach(files.map((file, place) => new File([file], /^image\.\w+$/.test(file.name) ? `pasted-${attached.length + place + 1}.${file.name.split('.').pop()}` : file.name, { type: file.type })));
  });

  // What the microphone records becomes a file like any other.
  const SOUNDS = [['audio/ogg;codecs=opus', 'ogg'], ['audio/webm;codecs=opus', 'webm'], ['audio/mp4', 'm4a']];
  let recorder, isAsking = false;
  const isRecording = () => recorder?.state === 'recording';
  const showRecording = () => {
    const button = composer()?.querySelector('[data-record]');
    if (!button) return;
    button.hidden = !globalThis.MediaRecorder || !navigator.mediaDevices;     // over plain http there is none
    button.toggleAttribute('data-on', isRecording());
    button.title = isRecording() ? 'Stop recording' : 'Record with the microphone';
    button.setAttribute('aria-label', button.title);
  };
  const record = async () => {
    const [type, ending] = SOUNDS.find(([one]) => MediaRecorder.isTypeSupported(one)) ?? [], parts = [];
    if (!type) { complain('This browser records in no form that can be sent. Attach a recording.'); return; }
    let microphone;
    if (isAsking) return;                                                     // a second one would record for ever
    isAsking = true;
    try { microphone = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch {
      complain('The microphone cannot be used. Allow it for this page, or attach a recording.');
      return;
    } finally { isAsking = false; }
    recorder = new MediaRecorder(microphone, { mimeType: type });
    recorder.addEventListener('dataavailable', ({ data }) => parts.push(data));
    recorder.addEventListener('stop', () => {
      microphone.getTracks().forEach((track) => track.stop());                // its light goes out
      showRecording();
      attach([new File(parts, `recording.${ending}`, { type: type.split(';')[0] })]);
    });
    recorder.start();
    complain('');
    announce('Recording');
    showRecording();
  };
  on('click', '[data-record]', () => (isRecording() ? recorder.stop() : record()));

  // Words to begin with.
  on('click', '[data-starter]', (link, event) => {
    const area = composer()?.querySelector('textarea');
    if (!area) return;
    event.preventDefault();
    area.value = link.dataset.starter;
    area.dispatchEvent(new Event('input', { bubbles: true }));
    area.focus();
  });

  on('submit', 'dialog.lightbox form', (form) => form.closest('dialog').close());

  // From one picture to the next; and a transcript whose marks play its recording, and follow it.
  on('click', '[data-shows]', (button) => { button.closest('dialog').close(); document.getElementById(button.dataset.shows)?.showModal(); });
  document.addEventListener('keydown', (event) => {
    document.querySelector(`dialog.lightbox[open] [data-key="${CSS.escape(event.key)}"]`)?.click();
  });
  on('click', '[data-seek]', (mark) => {
    const recording = document.getElementById(mark.closest('.transcript').dataset.of);
    recording.currentTime = Number(mark.dataset.seek);
    recording.play();
  });
  document.addEventListener('timeupdate', ({ target }) => {
    const marks = [...document.querySelectorAll(`.transcript[data-of="${target.id}"] [data-seek]`)];
    const here = marks.findLast((mark) => Number(mark.dataset.seek) <= target.currentTime);
    marks.forEach((mark) => (mark === here && !target.ended ? mark.setAttribute('aria-current', 'true') : mark.removeAttribute('aria-current')));
  }, true);

  let sent = new Set();                                                       // files, and chips of those that were there already
  document.addEventListener('submit', ({ target }) => {
    if (target === composer()) sent = new Set([...attached, ...chips().querySelectorAll('[data-reference-chip]')]);
  });
  document.addEventListener('htmx:after:request', (event) => {
    const { sourceElement: form, response } = event.detail.ctx ?? {};
    if (!form?.matches?.('form[data-composer]') || !response?.raw?.ok) return;
    attached = attached.filter((file) => !sent.has(file));                    // what came meanwhile is of the next prompt
    chips().querySelectorAll('[data-reference-chip]').forEach((one) => { if (sent.has(one)) one.remove(); });
    complain('');
    showFiles();
    keep();
  });
  new MutationObserver((changes) => {
    if (!changes.some((change) => [...change.addedNodes].some((node) => node.id === 'composer'))) return;
    showFiles();
    showRecording();
    composer().querySelector('.composer-more [data-invalid]')?.scrollIntoView({ block: 'nearest' });
  }).observe(document.body, { childList: true, subtree: true });
  if (composer()) { showFiles(); wake(); }
  showRecording();
})();
