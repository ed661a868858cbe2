// The people of one camera, as buttons. One element for all of them: the server sends values, not elements.
// Each person is [id, name, feels, colour, stress in %, stressed, present, what a screen reader says].
export default {
  props: { people: Array, more: Number },
  emits: ["chosen"],
  template: `
    <div class="people" role="group" aria-label="People">
      <div v-if="!people.length" class="dim">Nobody in the last minutes.</div>
      <button
        v-for="[id, name, feels, colour, stress, stressed, present, said] of people" :key="id" type="button"
        class="person" :class="{ left: !present }" :style="{ '--is': colour }" :aria-label="said"
        @click="$emit('chosen', id)"
      >
        <div class="who">{{ name }}</div>
        <div class="feels">{{ feels }}</div>
        <div class="meter" :class="{ stressed }" aria-hidden="true"><div :style="{ width: stress + '%' }"></div></div>
      </button>
      <div v-if="more" class="dim">and {{ more }} more before</div>
    </div>`,
};
