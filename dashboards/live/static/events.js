// What happens, newest first. One element for all events, each [id, kind, when, text].
export default {
  props: { events: Array },
  template: `
    <div class="events" role="log" aria-live="polite" tabindex="0">
      <div v-for="[id, kind, when, text] of events" :key="id" class="event" :class="kind">
        <div class="when">{{ when }}</div>
        <div class="text">{{ text }}</div>
      </div>
    </div>`,
};
