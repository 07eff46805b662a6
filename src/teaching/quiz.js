// Works on every quiz of the page that is not yet at work, so it needs no ids.
document.querySelectorAll('.wta-quiz:not([data-on])').forEach(function(z){
z.dataset.on=1;
function add(q,tag,text){var e=document.createElement(tag);e.textContent=text||'';q.querySelector('.act').appendChild(e);return e}
z.querySelectorAll('[data-kind=multiple]').forEach(function(q){
var c=[].slice.call(q.querySelectorAll('details')),done=false,b=add(q,'button','Check'),o=add(q,'output');
c.forEach(function(d){var s=d.querySelector('summary');s.setAttribute('role','checkbox');s.setAttribute('aria-checked','false');
s.addEventListener('click',function(e){if(!done){e.preventDefault();s.setAttribute('aria-checked',String(d.classList.toggle('picked')))}})});
b.onclick=function(){done=true;b.hidden=true;var hit=0,off=0,all=0;
c.forEach(function(d){var p=d.classList.contains('picked'),y=d.classList.contains('y');all+=y;hit+=p&&y;off+=p!==y;d.open=true});
o.textContent=off?'You found '+hit+' of '+all+'; '+off+(off>1?' choices':' choice')+' to think over.':'All right!'}});
z.querySelectorAll('[data-kind=numeric]').forEach(function(q){
var i=add(q,'input'),b=add(q,'button','Check'),o=add(q,'output');i.setAttribute('aria-label','your number');i.inputMode='decimal';
function go(){var v=i.value.trim().replace(',','.'),x=Number(v),m='Not this number. Try again, or unfold the answer.';
if(!v||isNaN(x))m='Type a number.';else q.querySelectorAll('[data-v]').forEach(function(d,k){
if(Math.abs(x-d.dataset.v)<=+d.dataset.t+1e-9)m=(k?'':'Right: ')+d.textContent});o.textContent=m}
b.onclick=go;i.onkeydown=function(e){e.stopPropagation();if(e.key==='Enter')go()}});
});
