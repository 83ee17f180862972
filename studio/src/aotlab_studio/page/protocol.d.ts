// Written by studio/scripts/page_types.py from protocol.py and actions.py.
export interface Actions {
  paint: {
    message: { frame: number; object_id: number | null; points: [number, number][]; radius: number; erase?: boolean; propagate?: boolean };
    result: number;
  };
  outline: {
    message: { frame: number; object_id: number | null; points: [number, number][]; erase?: boolean; propagate?: boolean };
    result: number;
  };
  suggest: {
    message: { frame: number; object_id: number | null; box?: [number, number, number, number] | null; positive?: [number, number][] | null; negative?: [number, number][] | null; refine?: boolean; extend?: boolean; propagate?: boolean };
    result: number;
  };
  fill_holes: {
    message: { frame: number; object_id: number; propagate?: boolean };
    result: null;
  };
  clear: {
    message: { frame: number; object_id: number; propagate?: boolean };
    result: null;
  };
  remove_keyframe: {
    message: { frame: number; propagate?: boolean };
    result: null;
  };
  split_object: {
    message: { frame: number; object_id: number; point: [number, number]; propagate?: boolean };
    result: number;
  };
  reassign: {
    message: { frame: number; object_id: number; point: [number, number]; propagate?: boolean };
    result: number;
  };
  delete_object: {
    message: { object_id: number };
    result: null;
  };
  merge_objects: {
    message: { object_id: number; into: number };
    result: null;
  };
  drop_results: {
    message: { frame: number; last?: number | null; object_ids?: number[] | null };
    result: number;
  };
  describe: {
    message: {  };
    result: Description;
  };
  preview: {
    message: { frame: number; positive: [number, number][] };
    result: [number, number][][];
  };
  add_object: {
    message: { name?: string | null };
    result: number;
  };
  change_object: {
    message: { object_id: number; changes: ItemChanges };
    result: null;
  };
  set_tracker: {
    message: { changes: Record<string, string> };
    result: null;
  };
  track: {
    message: { frame: number; direction?: 'forward' | 'backward' | 'both'; first?: number; last?: number | null; object_ids?: number[] | null };
    result: JobProgress;
  };
  take_frame: {
    message: {  };
    result: number;
  };
  go_live: {
    message: { frame: number };
    result: JobProgress;
  };
  pause: {
    message: {  };
    result: null;
  };
  resume: {
    message: {  };
    result: null;
  };
  stop: {
    message: {  };
    result: null;
  };
  undo: {
    message: { step?: number | null };
    result: UndoneStep | null;
  };
  redo: {
    message: {  };
    result: UndoneStep | null;
  };
  review: {
    message: {  };
    result: ReviewEntry[];
  };
  strips: {
    message: {  };
    result: Record<number, string>;
  };
  export: {
    message: { names: string[] };
    result: string;
  };
  cancel_export: {
    message: {  };
    result: null;
  };
}

export type Event = FrameEvent | ObjectsEvent | CountEvent | HistoryEvent | JobEvent | TrackerEvent | ExportEvent;

export interface Answer {
  id: number | null;
  result: any;
  revision: number;
  step: number;
}

export interface Choice {
  value: string;
  text: string;
}

export interface CountEvent {
  count: number;
  event: 'count';
}

export interface Description {
  name: string;
  video: string;
  frames: number;
  size: [number, number];
  rate: number;
  live: boolean;
  objects: Item[];
  strips: Record<number, string>;
  revision: number;
  outputs: Choice[];
  tracker: Record<string, Setting>;
  history: [string | null, string | null];
  job: JobProgress | null;
}

export interface ExportEvent {
  done: number;
  total: number;
  event: 'export';
}

export interface Failure {
  id: number | null;
  error: string;
}

export interface FrameEvent {
  frame: number;
  revision: number;
  codes: Record<number, string>;
  event: 'frame';
}

export interface HistoryEvent {
  titles: [string | null, string | null];
  event: 'history';
}

export interface Item {
  id: number;
  name: string;
  colour: string;
  hidden: boolean;
  locked: boolean;
}

export interface ItemChanges {
  name?: string;
  colour?: string;
  hidden?: boolean;
  locked?: boolean;
}

export interface JobEvent {
  job: JobProgress;
  event: 'job';
}

export interface JobProgress {
  background: boolean;
  status: 'starting' | 'running' | 'paused' | 'done' | 'stopped' | 'failed';
  direction: 'forward' | 'backward' | 'both';
  frame: number;
  done: number;
  total: number;
  speed: number;
  remaining: number | null;
  current_pass: number;
  passes: number;
  problem: string | null;
}

export interface ObjectsEvent {
  revision: number;
  objects: Item[];
  event: 'objects';
}

export interface ReviewEntry {
  frame: number;
  object_id: number;
  sentence: string;
}

export interface Setting {
  chosen: string;
  offered: Choice[];
}

export interface TrackerEvent {
  settings: Record<string, Setting>;
  event: 'tracker';
}

export interface UndoneStep {
  title: string;
  frame: number | null;
}
