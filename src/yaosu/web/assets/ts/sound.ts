/** Sounds that a picker hears without looking: each verdict has its own pitch, length and number. */
export type Sound = "ok" | "warn" | "refused" | "duplicate" | "done";

type Tone = [startS: number, lengthS: number, hertz: number, shape: OscillatorType];

const TONES: Record<Sound, Tone[]> = {
  ok: [[0, 0.07, 1320, "sine"]],
  warn: [
    [0, 0.09, 740, "triangle"],
    [0.13, 0.09, 740, "triangle"],
  ],
  refused: [[0, 0.42, 185, "square"]],
  duplicate: [
    [0, 0.05, 520, "triangle"],
    [0.08, 0.05, 430, "triangle"],
    [0.16, 0.05, 350, "triangle"],
  ],
  done: [
    [0, 0.09, 660, "sine"],
    [0.1, 0.09, 880, "sine"],
    [0.2, 0.16, 1320, "sine"],
  ],
};

const REMEMBERED = "yaosu:sound";

export class Speaker {
  private context: AudioContext | null = null;
  muted = localStorage.getItem(REMEMBERED) === "off";

  /** Browsers allow sound only after a key or a touch; called from such an event. */
  unlock(): void {
    if (this.muted) return;
    this.context ??= new AudioContext();
    if (this.context.state === "suspended") void this.context.resume();
  }

  mute(muted: boolean): void {
    this.muted = muted;
    localStorage.setItem(REMEMBERED, muted ? "off" : "on");
  }

  play(sound: Sound): void {
    if (this.muted || !this.context) return;
    const begin = this.context.currentTime + 0.005;
    for (const [start, length, hertz, shape] of TONES[sound]) {
      const oscillator = this.context.createOscillator();
      const gain = this.context.createGain();
      oscillator.type = shape;
      oscillator.frequency.value = hertz;
      const loud = shape === "square" ? 0.09 : 0.22;
      gain.gain.setValueAtTime(0, begin + start);
      gain.gain.linearRampToValueAtTime(loud, begin + start + 0.008);
      gain.gain.setValueAtTime(loud, begin + start + length - 0.02);
      gain.gain.linearRampToValueAtTime(0, begin + start + length);
      oscillator.connect(gain).connect(this.context.destination);
      oscillator.start(begin + start);
      oscillator.stop(begin + start + length + 0.02);
    }
  }
}
