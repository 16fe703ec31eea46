{{/* What every pod has, and meets the `restricted` Pod Security Standard with. (list $ componentValues) */}}
{{- define "mlplat.pod" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
serviceAccountName: {{ $component.serviceAccountName | default (include "mlplat.serviceAccountName" $root) }}
automountServiceAccountToken: {{ $component.token | default false }}
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with $root.Values.security.runAsUser }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  {{- end }}
  {{- with $root.Values.security.fsGroup }}
  fsGroup: {{ int . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with $component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every container has: (list $), or (list $ imageOfItsOwn). */}}
{{- define "mlplat.container" -}}
{{- $root := index . 0 -}}
image: {{ rest . | first | default (include "mlplat.image" $root) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* The claim goes to one node at a time, if it is ReadWriteOnce: then all pods that mount it must be on that node.
     (list $ component) */}}
{{- define "mlplat.oneNode" -}}
{{- if and (include "mlplat.mountsClaim" .) (eq (index . 0).Values.store.pvc.accessMode "ReadWriteOnce") }}true{{ end -}}
{{- end -}}

{{/* The label that pods with the claim find each other by. (list $ component) */}}
{{- define "mlplat.claimLabel" -}}
{{- if include "mlplat.mountsClaim" . -}}
mlplat.dev/claim: {{ include "mlplat.claimName" (index . 0) | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}
{{- end -}}

{{/* Affinity: the component's own, with what a ReadWriteOnce claim needs. (list $ component ownAffinity) */}}
{{- define "mlplat.affinity" -}}
{{- $affinity := deepCopy (index . 2) -}}
{{- if include "mlplat.oneNode" . -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "mlplat.claimLabel" . | fromYaml)) -}}
{{- $own := dig "podAffinity" "requiredDuringSchedulingIgnoredDuringExecution" (list) $affinity -}}
{{- $affinity = mergeOverwrite $affinity (dict "podAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (append $own $term))) -}}
{{- end -}}
{{- with $affinity -}}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Mounts of a container: /tmp, the claim, a key for the registry, and the component's own.
     (list $ component componentValues readOnlyClaim) */}}
{{- define "mlplat.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "mlplat.mountsClaim" . }}
- {name: models, mountPath: /models{{ if index . 3 }}, readOnly: true{{ end }}}
{{- end }}
{{- if include "mlplat.storeKey" . }}
- {name: store-key, mountPath: /etc/mlplat/store-key, readOnly: true}
{{- end }}
{{- with (index . 2).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes of these mounts. (list $ component componentValues sizeOfTmp) */}}
{{- define "mlplat.volumes" -}}
- name: tmp
  emptyDir: {{ with index . 3 }}{sizeLimit: {{ . | quote }}}{{ else }}{}{{ end }}
{{- if include "mlplat.mountsClaim" . }}
- name: models
  persistentVolumeClaim: {claimName: {{ include "mlplat.claimName" (index . 0) | quote }}}
{{- end }}
{{- with include "mlplat.storeKey" . }}
- name: store-key
  secret:
    secretName: {{ (index $ 0).Values.store.keys.existingSecret | quote }}
    items: [{key: {{ . | quote }}, path: key}]
{{- end }}
{{- with (index . 2).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Spread over a topology, each ReplicaSet for itself. Nodes that no pod may use (cordoned, dead, control plane) do not
     count: else nothing could replace what was there. (list $ component key whenUnsatisfiable) */}}
{{- define "mlplat.spread" -}}
- topologyKey: {{ index . 2 }}
  maxSkew: 1
  whenUnsatisfiable: {{ index . 3 }}
  nodeTaintsPolicy: Honor
  labelSelector:
    matchLabels:
      {{- include "mlplat.selector" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}

{{/* Exit codes that another try cannot change: 2 wrong options, 4 a conflict. (The schemas before Kubernetes 1.29 ask for
     the empty list, and those before 1.35 for the status.) */}}
{{- define "mlplat.podFailurePolicy" -}}
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes: {operator: In, values: [2, 4]}
      onPodConditions: []
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
{{- end -}}
